"""Fine-tuning a sequence-classification checkpoint with the Hugging Face Trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from potstill import device
from potstill.balance import class_weights
from potstill.corpus.dataset import targets
from potstill.params.teacher import TeacherParams
from potstill.runtime.decision import accuracy
from potstill.teacher import resume
from potstill.teacher.pretrained import encode


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    params: TeacherParams,
    learning_rate: float,
    scratch: Path,
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
) -> int:
    """Fine-tune a model in place; at the end it holds the weights of its last epoch.

    By then the learning rate has fallen to zero. The best epoch by validation accuracy is no better where there are
    many validation labels, and where there are few it is an early one that was lucky: with 1,000 labels on the Emotion
    tweets and 250 to choose by, it cost two points.

    Batches hold texts of similar length, padded to their longest only, and matrix products run in bfloat16
    where the hardware has it: together about three times as fast as the Trainer's defaults on a processor.

    Args:
        model, tokenizer: what `load` gave.
        train, validation: tables with the columns `text` and `label`.
        params: the settings.
        learning_rate: the peak, after warm-up; it falls to zero linearly.
        scratch: a folder for a checkpoint per epoch; a run that finds some there goes on from the last.
        log: receives one dictionary per finished epoch: `epoch`, `loss`, `validation_loss`,
            `validation_accuracy`.

    Returns:
        How many train texts were cut off.
    """
    labels = int(model.config.num_labels or 0)
    rows, cut = examples(tokenizer, train, params.max_length, labels)
    by_length = validation.iloc[validation["text"].str.len().argsort(kind="stable")]
    trainer = Trainer(
        model=model,
        args=arguments(
            params,
            scratch,
            num_train_epochs=params.epochs,
            per_device_train_batch_size=params.texts_at_once,
            gradient_accumulation_steps=params.gradient_accumulation_steps,
            per_device_eval_batch_size=params.texts_at_once,
            learning_rate=learning_rate,
            warmup_steps=params.warmup_ratio,
            eval_strategy="epoch",
        ),
        train_dataset=rows,  # a list of rows is all that the sampler needs
        eval_dataset=examples(tokenizer, by_length, params.max_length, labels)[0],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=_loss(targets(train["label"], labels) if params.class_weight else None),
        compute_metrics=lambda scored: {"accuracy": accuracy(_logits(scored), np.asarray(scored.label_ids))},
        callbacks=[_Epochs(log)],
    )
    run(trainer, scratch)
    return cut


def arguments(params: TeacherParams, scratch: Path, **own: Any) -> TrainingArguments:
    """What the Trainer is told, whatever it trains: `own`, and what all trainings share."""
    made = TrainingArguments(
        output_dir=str(scratch),
        gradient_checkpointing=params.gradient_checkpointing,
        weight_decay=params.weight_decay,
        max_grad_norm=params.max_grad_norm,
        bf16=device.bf16(params.precision),
        train_sampling_strategy="group_by_length",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # should the last not be whole
        seed=params.seed,
        report_to="none",
        disable_tqdm=False,
        use_cpu=device.device().type == "cpu",
        dataloader_pin_memory=device.device().type == "cuda",
        **own,
    )
    if made.n_gpu > 1:
        made._n_gpu = 1  # a process, a GPU: otherwise one would split its batches over all
    return made


def run(trainer: Trainer, scratch: Path) -> None:
    """Train under a progress bar, from the last whole checkpoint on if there is one."""
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_Bar())
    trainer.add_callback(resume.Seal())
    with trainer.args.main_process_first():
        checkpoint = resume.last(scratch)
    trainer.train(resume_from_checkpoint=checkpoint)


def examples(
    tokenizer: PreTrainedTokenizerBase, table: pd.DataFrame, max_length: int, labels: int
) -> tuple[list[dict[str, Any]], int]:
    """What the Trainer takes, a dictionary of token lists and `labels` per row of a table; and how many were cut.

    `labels` is an id, or 0.0 and 1.0 for each label where a text may have several.
    """
    encoded, cut = encode(tokenizer, table["text"].tolist(), max_length)
    right = targets(table["label"], labels)
    right = right.astype(float) if right.ndim == 2 else right
    return [{**row, "labels": label} for row, label in zip(encoded, right.tolist(), strict=True)], cut


def _loss(known: np.ndarray | None) -> Callable[..., torch.Tensor]:
    """The cross entropy; if `known` are the train labels, all classes count alike, see `training.cross_entropy`.

    It is a mean over all texts of a step, however many processes and parts share them: the loss that a checkpoint comes
    with may be one over those of a part.
    """
    weights = None if known is None else torch.from_numpy(class_weights(known, known.max() + 1))

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs.logits.float()
        weight = None if weights is None else weights.to(logits.device)
        if labels.ndim == 2:
            weight = None if weight is None else torch.where(labels > 0, weight[1], weight[0])
            total = binary_cross_entropy_with_logits(logits, labels.float(), weight, reduction="sum")
        else:
            total = cross_entropy(logits, labels, weight, reduction="sum")
        return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)

    return loss


def _logits(scored: Any) -> np.ndarray:
    """Encoder-decoders (T5) return hidden states beside the logits."""
    return scored.predictions[0] if isinstance(scored.predictions, tuple) else scored.predictions


class _Bar(ProgressCallback):
    """The Trainer's progress bar, with its rate and estimate, without its dictionaries in between."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        pass


class _Epochs(TrainerCallback):
    """Passes one line per epoch on, those of an interrupted run included."""

    def __init__(self, log: Callable[[dict[str, float]], None]) -> None:
        self.log = log

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for entry in state.log_history:
            if "eval_accuracy" in entry:
                self._pass_on(entry, state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        self._pass_on(state.log_history[-1], state)

    def _pass_on(self, entry: dict[str, float], state: Any) -> None:
        if not state.is_world_process_zero:
            return
        loss = next(e["loss"] for e in reversed(state.log_history) if "loss" in e and e["step"] <= entry["step"])
        self.log(
            {
                "epoch": round(entry["epoch"]),
                "loss": loss,
                "validation_loss": entry["eval_loss"],
                "validation_accuracy": entry["eval_accuracy"],
            }
        )
