"""Fine-tuning a sequence-classification checkpoint with the Hugging Face Trainer."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_pt_utils import get_parameter_names

from potstill.core import device
from potstill.core.class_weights import class_weights
from potstill.core.labels import accuracy
from potstill.data.dataset import targets
from potstill.scoring import windows
from potstill.teacher import checkpointing
from potstill.teacher.params import TeacherParams


class FineTuned(NamedTuple):
    """How the texts were read.

    Attributes:
        max_windows: the maximum number of windows per text: `params.max_windows`, or what was chosen instead of None.
        windowed: the share of the train texts that have more than one window.
        truncated: the number of train texts that were truncated.
    """

    max_windows: int
    windowed: float
    truncated: int


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    params: TeacherParams,
    learning_rate: float,
    scratch: Path,
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
    bar: bool = True,
    repeats: np.ndarray | None = None,
) -> FineTuned:
    """Fine-tune a model in place, and keep the weights of its last epoch.

    The best epoch by validation accuracy is no better than the last if there are many validation texts, and with few
    its accuracy is a matter of chance: on the Emotion tweets with 1,000 train and 250 validation labels, it was two
    points less accurate on test.

    Batches hold texts of similar length, padded to the longest of the batch, and matrix products run in bfloat16 where
    the hardware supports it: about three times as fast as the Trainer's defaults on a CPU.

    Each window of a long text is an example with the label of its text, so that a batch takes no more memory than one
    of short texts; on validation, the logits of a text's windows are averaged.

    Args:
        model, tokenizer: as `pretrained.load` returns them.
        train, validation: tables with the columns `text` and `label`.
        params: the settings.
        learning_rate: the learning rate after warm-up; it decays linearly to zero. That of the new head is
            `params.head_lr_factor` times as high.
        scratch: a folder for a checkpoint per epoch; training resumes from the last one in it.
        log: called after each epoch with `epoch`, `loss`, `validation_loss` and `validation_accuracy`.
        bar: whether to show a progress bar.
        repeats: how often an epoch has each train text, int64 (texts,); None for once.
    """
    classes = int(model.config.num_labels or 0)
    texts = train["text"].tolist()
    max_windows = params.max_windows or windows.choose(tokenizer, texts, params.max_length)
    read = windows.encode(tokenizer, texts, params.max_length, max_windows)
    repeats = np.ones(len(train), np.int64) if repeats is None else repeats
    known = targets(train["label"], classes)
    of_windows = zip(examples(read, known), repeats.repeat(read.counts), strict=True)
    rows = [row for row, times in of_windows for _ in range(times)]
    weights = class_weights(known.repeat(repeats, axis=0), classes) if params.class_weight else None
    by_length = validation.iloc[validation["text"].str.len().argsort(kind="stable")]
    validated, labels = by_length["text"].tolist(), targets(by_length["label"], classes)
    read_validation = windows.encode(tokenizer, validated, params.max_length, max_windows)
    trainer = _Trainer(
        model=model,
        args=training_arguments(
            params,
            scratch,
            num_train_epochs=params.epochs_for(len(rows), classes),
            per_device_train_batch_size=params.texts_at_once,
            gradient_accumulation_steps=params.gradient_accumulation_steps,
            per_device_eval_batch_size=params.texts_at_once,
            learning_rate=learning_rate,
            warmup_steps=params.warmup_ratio,
            eval_strategy="epoch",
        ),
        train_dataset=rows,
        eval_dataset=examples(read_validation, labels),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=partial(_loss, None if weights is None else torch.from_numpy(weights)),
        compute_metrics=partial(_metrics, read_validation.counts, labels),
        callbacks=[_EpochLogger(log)],
        optimizers=(optimizer(model, learning_rate, params), None),
    )
    run(trainer, scratch, bar)
    return FineTuned(max_windows, float((read.counts > 1).mean()), read.truncated)


def optimizer(model: PreTrainedModel, learning_rate: float, params: TeacherParams) -> torch.optim.Optimizer:
    """Return AdamW with a higher learning rate for the new classification head.

    At that of the pre-trained weights, the head of a task with many classes is far from trained when the epochs end: on
    5,000 texts of CLINC150's 150 classes, four epochs gave 73% on validation, and 94% so. Biases and the weights of
    normalizations do not decay, as in the Trainer.
    """
    decaying = set(get_parameter_names(model, [torch.nn.LayerNorm], ["bias", "layernorm"]))
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = learning_rate * (1 if name.startswith(f"{model.base_model_prefix}.") else params.head_lr_factor)
        groups.setdefault((rate, params.weight_decay if name in decaying else 0.0), []).append(parameter)
    parts = [{"params": part, "lr": rate, "weight_decay": decay} for (rate, decay), part in groups.items()]
    return torch.optim.AdamW(parts, learning_rate, fused=True)


def training_arguments(params: TeacherParams, scratch: Path, **own: Any) -> TrainingArguments:
    """Return the Trainer's arguments: those that fine-tuning and masked-language-model training share, and `own`."""
    arguments = TrainingArguments(
        output_dir=str(scratch),
        gradient_checkpointing=params.gradient_checkpointing,
        weight_decay=params.weight_decay,
        max_grad_norm=params.max_grad_norm,
        bf16=device.bf16(params.precision),
        train_sampling_strategy="group_by_length",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # the last one may be incomplete after a crash
        seed=params.seed,
        report_to="none",
        disable_tqdm=False,
        use_cpu=device.device().type == "cpu",
        dataloader_pin_memory=device.device().type == "cuda",
        **own,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one GPU per process: otherwise one process would split its batches over all GPUs
    return arguments


def run(trainer: Trainer, scratch: Path, bar: bool) -> None:
    """Train, with a progress bar if `bar`, resuming from the last complete checkpoint in `scratch`."""
    trainer.remove_callback(ProgressCallback)
    if bar:
        trainer.add_callback(_ProgressBar())
    trainer.add_callback(checkpointing.ChecksumCallback())
    with trainer.args.main_process_first():
        checkpoint = checkpointing.last(scratch)
    trainer.train(resume_from_checkpoint=checkpoint)


def examples(read: windows.Windows, labels: np.ndarray) -> list[dict[str, Any]]:
    """Return the windows of texts as the Trainer takes them.

    Each has the tokenizer's lists and `labels`: the class id, or for multi-label data 0.0 or 1.0 for each label.

    Args:
        read: the windows.
        labels: of each text, see `data.dataset.targets`.
    """
    labels = labels.astype(float) if labels.ndim == 2 else labels
    of_windows = np.repeat(labels, read.counts, axis=0).tolist()
    return [{**row, "labels": label} for row, label in zip(read.rows, of_windows, strict=True)]


def _loss(
    weights: torch.Tensor | None, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None
) -> torch.Tensor:
    """Return the cross-entropy, weighted by class if `weights` are given, see `student.training.cross_entropy`.

    It is a mean over all texts of a step, whatever the number of processes and of accumulation steps; the model's own
    loss may be a mean over one part of them.
    """
    logits = outputs.logits.float()
    weight = None if weights is None else weights.to(logits.device)
    if labels.ndim == 2:
        weight = None if weight is None else torch.where(labels > 0, weight[1], weight[0])
        total = binary_cross_entropy_with_logits(logits, labels.float(), weight, reduction="sum")
    else:
        total = cross_entropy(logits, labels, weight, reduction="sum")
    return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)


def _metrics(counts: np.ndarray, labels: np.ndarray, prediction: EvalPrediction) -> dict[str, float]:
    """Return the accuracy on texts: the number of windows of each, its label, and the predictions for the windows."""
    logits = prediction.predictions
    if isinstance(logits, tuple):  # encoder-decoders (T5) also return hidden states
        logits = logits[0]
    return {"accuracy": accuracy(windows.average(logits, counts), labels)}


class _Trainer(Trainer):
    """Evaluates in the order of the rows, so that the windows of a text can be found again."""

    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(eval_dataset)


class _ProgressBar(ProgressCallback):
    """The Trainer's progress bar, without the metrics that it prints and the bars of evaluations."""

    def on_prediction_step(
        self, args: Any, state: Any, control: Any, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        pass

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        pass


class _EpochLogger(TrainerCallback):
    """Logs each epoch, including those before an interruption."""

    def __init__(self, log: Callable[[dict[str, float]], None]) -> None:
        self.log = log

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for entry in state.log_history:
            if "eval_accuracy" in entry:
                self._log(entry, state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        self._log(state.log_history[-1], state)

    def _log(self, entry: dict[str, float], state: Any) -> None:
        if not state.is_world_process_zero:
            return
        loss = next(e["loss"] for e in reversed(state.log_history) if "loss" in e and e["step"] <= entry["step"])
        validation = {f"validation_{name}": entry[f"eval_{name}"] for name in ("loss", "accuracy")}
        self.log({"epoch": round(entry["epoch"]), "loss": loss, **validation})
