"""Fine-tuning a sequence-classification checkpoint with the Hugging Face Trainer."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from safetensors import SafetensorError
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import set_seed

from potstill import device
from potstill.balance import class_weights
from potstill.corpus.dataset import targets
from potstill.errors import PotstillError
from potstill.params.teacher import TeacherParams
from potstill.runtime.decision import accuracy
from potstill.teacher import resume

transformers.logging.set_verbosity_error()  # "newly initialized" is the head, and no news
transformers.logging.disable_progress_bar()


def load(
    source: str, labels: list[str] | None = None, seed: int = 0, multi_label: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier and its tokenizer.

    Args:
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        labels: the names of the classes of a head that is to be trained; None keeps the saved head.
        seed: for the first weights of a new head.
        multi_label: whether a text may have several of these labels.

    Raises:
        PotstillError: `source` cannot be loaded as a sequence classifier.
    """
    head: dict[str, Any] = {}
    if labels is not None:
        head = {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "ignore_mismatched_sizes": True,
        }
        head["label2id"] = {name: i for i, name in enumerate(labels)}
    if multi_label:
        head["problem_type"] = "multi_label_classification"
    return load_as(AutoModelForSequenceClassification, "a text classifier", source, seed, **head)


def load_as(
    kind: Any, name: str, source: str, seed: int, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint as a model of some kind, and its tokenizer.

    Args:
        kind: one of the auto classes of `transformers`.
        name: what that is, for people.
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        seed: for the first weights that the checkpoint lacks.
        options: what `from_pretrained` takes besides.

    Raises:
        PotstillError: `source` cannot be loaded as that.
    """
    set_seed(seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = kind.from_pretrained(source, trust_remote_code=False, use_safetensors=True, dtype="float32", **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise PotstillError(f"{source} cannot be loaded as {name}: {reason}") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = min(tokenizer.model_max_length, _positions(model))
    return model, tokenizer


def _positions(model: PreTrainedModel) -> int:
    """The longest text, in tokens, that the model has position embeddings for."""
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    if positions <= 0:  # XLNet says -1
        return sys.maxsize
    embedding = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from behind the padding token's id.
    reserved = getattr(embedding, "padding_idx", None)
    return positions if reserved is None else positions - reserved - 1


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Tokenise texts, cut to `max_length` tokens or what the model can take.

    Returns:
        A dictionary of lists per text, and how many texts were cut. A tokenizer written in Python does not tell:
        then texts that just fit are counted too.
    """
    limit = min(max_length, tokenizer.model_max_length)
    encoded = tokenizer(texts, truncation=True, max_length=limit)
    rows = [dict(zip(encoded.keys(), row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    if encoded.encodings is None:
        return rows, sum(len(row["input_ids"]) >= limit for row in rows)
    return rows, sum(bool(encoding.overflowing) for encoding in encoded.encodings)


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
            warmup_steps=params.warmup,
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
