"""How long a fit will take, from the numbers of texts and tokens, and a measurement of some seconds."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from joblib import cpu_count
from transformers import DataCollatorWithPadding

from potstill.core import device
from potstill.data.dataset import Dataset
from potstill.estimator.progress import duration
from potstill.estimator.settings import Settings
from potstill.pool.build import held_out, scale
from potstill.runtime import tokenizer
from potstill.runtime.tokenizer import Encoded
from potstill.scoring import hub, inference, pretrained, windows
from potstill.scoring.compiled import compile_network
from potstill.scoring.pretrained import Row
from potstill.student import ladder, networks, training
from potstill.student.params import DistilParams
from potstill.student.vocabulary import MAX_LENGTH
from potstill.teacher import finetune, zero_shot
from potstill.teacher.params import TeacherParams
from potstill.teacher.table import is_table

MEASURED, BATCHES = 256, 3  # texts; batches of fine-tuning
REPEATED = 4  # how often a small network, which is faster, is trained on these texts
# What is not measured: loading, the vocabulary, writing, other programs on this machine.
FACTOR = 1.5


@dataclass(frozen=True)
class Estimate:
    """How long a fit will take.

    Attributes:
        pool: the number of texts that the teacher will label.
        least: seconds, if the smallest student keeps the teacher's accuracy.
        most: seconds, if all candidates are trained.
        measured: seconds that the measurement took.
    """

    pool: int
    least: float
    most: float
    measured: float

    def __str__(self) -> str:
        return (
            f"This will take between {duration(self.least / FACTOR)} and {duration(self.most * FACTOR)}: "
            f"{duration(self.least)} if the smallest student will do, {duration(self.most)} if all candidates are "
            f"trained, give or take a half. Measured in {duration(self.measured)}; {self.pool:,} texts to label"
        )


def estimate(data: Dataset, teacher: TeacherParams, settings: Settings) -> Estimate:
    """Estimate the time of a fit whose teacher is a checkpoint.

    Args:
        data: the prepared data.
        teacher: the settings of the teacher, with one preset.
        settings: the other settings.

    Raises:
        PotstillError: the checkpoint cannot be loaded.
    """
    start = time.monotonic()
    [preset] = teacher.presets.values()
    classes = len(data.labels)
    texts = [*data.train["text"], *data.unlabelled["text"]]
    sample = random.Random(0).sample(texts, min(MEASURED, len(texts)))
    labelling, learning, layers, rows = 0.0, 0.0, 1, 1.0
    if not is_table(preset.checkpoint):
        labelling, learning, layers, rows = _teacher_times(data, sample, preset.checkpoint, teacher, settings)
    pool, tuned = _pool_size(data, settings), _tuning_time(data, teacher, labelling, learning, rows)
    labelled = (pool + len(data.validation) + len(data.test)) * labelling

    rungs = settings.student.candidates()
    name, smallest = settings.student.smallest
    small = {name: smallest} | {key: rung for key, rung in rungs.items() if rung.kind != "transformer"}
    _student_time(smallest, sample[:1], classes)  # the first one also loads parts of torch
    times = {key: pool * rung.epochs * _student_time(rung, sample, classes) for key, rung in small.items()}
    jobs = settings.student.threads or cpu_count()
    # A student for each set of sources, side by side; the first rung is one of them.
    sets = 1 if settings.student.sources else len(ladder.SOURCE_SETS)
    searched = times.pop(name) * max(1.0, sets / jobs)
    others = sum(times.values()) / max(1, min(jobs, len(times)))
    transformers = sum(
        pool * (rung.epochs * learning * rung.layers / layers + labelling)
        for rung in rungs.values()
        if rung.kind == "transformer"
    )
    least = tuned + labelled + searched
    return Estimate(pool, least, least + others + transformers, time.monotonic() - start)


def _teacher_times(
    data: Dataset, sample: list[str], checkpoint: str, params: TeacherParams, settings: Settings
) -> tuple[float, float, int, float]:
    """Return the seconds per text of labelling and of fine-tuning, the teacher's layers, and the windows per text."""
    network, tokens = pretrained.load(hub.find(checkpoint), data.labels, 0, data.multi_label)
    max_windows = params.max_windows or windows.choose(tokens, sample, params.max_length)
    options = params.max_length, settings.label.batch_size, settings.label.precision
    compiled = compile_network(network, tokens, settings.label.precision)
    labelling = _timed(
        lambda: inference.score(network, tokens, sample, *options, compiled=compiled, max_windows=max_windows)
    ) / len(sample)
    rows = windows.encode(tokens, sample, params.max_length, max_windows).rows
    learning = _training_time(network, tokens, rows, params) * len(rows) / len(sample)
    return labelling, learning, getattr(network.config, "num_hidden_layers", 1), len(rows) / len(sample)


def _tuning_time(data: Dataset, params: TeacherParams, labelling: float, learning: float, rows: float) -> float:
    """Return the seconds of fine-tuning; of texts that nobody has labelled, self-training included, see `zero_shot`.

    Args:
        data: the prepared data.
        params: the settings of the teacher.
        labelling, learning: the seconds per text of labelling and of fine-tuning.
        rows: the windows per text.
    """
    train, validation, both = len(data.train), len(data.validation), len(data.train) + len(data.unlabelled)
    seconds = params.mlm_epochs * both * learning
    if not data.is_labelled("train"):
        found = min(both, zero_shot.MAX_TEXTS)
        seconds += zero_shot.EPOCHS * sum(zero_shot.SHARES[:-1]) * found * learning
        # Self-training labels in torch, where a forward pass takes about a third of a step of training.
        seconds += len(zero_shot.SHARES) * (found + validation) * learning / 3
        train = round(zero_shot.SHARES[-1] * found)
    epochs = params.epochs_for(round(rows * train), len(data.labels))
    return seconds + epochs * (train * learning + validation * labelling)


def _pool_size(data: Dataset, settings: Settings) -> int:
    """Return about how many texts the transfer set will have, see `pool.build`."""
    params, unlabelled = settings.pool, len(data.unlabelled)
    unlabelled = unlabelled if params.unlabelled is None else min(unlabelled, params.unlabelled)
    kept_back = held_out(unlabelled, params.held_out)
    real = len(data.train) * params.train + unlabelled - kept_back
    share = params.replace + params.drop + params.splice + params.generated + params.borrow
    return round(kept_back + real + real * scale(real, share, params.min_texts) * share) if real else 0


def _training_time(network: Any, teacher_tokenizer: Any, rows: list[Row], params: TeacherParams) -> float:
    """Return the seconds per window of fine-tuning, from some steps on batches of windows of similar length."""
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))
    size = min(params.texts_at_once, len(rows))
    starts = np.linspace(0, len(rows) - size, BATCHES, dtype=int)
    collate = DataCollatorWithPadding(teacher_tokenizer)
    optimizer = finetune.optimizer(network, 1e-9, params)
    network.train().to(device.device())

    def step(start: int) -> None:
        batch = {key: value.to(network.device) for key, value in collate(rows[start : start + size]).items()}
        with device.autocast(params.precision):
            logits = network(**batch).logits
        logits.float().square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    def steps() -> None:
        for start in starts:
            step(int(start))

    step(0)  # the first one also allocates the optimizer's state
    return _timed(steps) / (BATCHES * size)


def _student_time(params: DistilParams, sample: list[str], classes: int) -> float:
    """Return the seconds per text and epoch of a small network, from a training on as many random ids."""
    rng = np.random.default_rng(0)
    words = [max(1, min(len(tokenizer.words(text)), params.max_length or MAX_LENGTH)) for text in sample]
    lengths = np.array(words * REPEATED)
    starts = np.concatenate([[0], lengths.cumsum()])
    texts = Encoded(rng.integers(1, params.vocab_size, starts[-1]).astype(np.uint32), starts)
    few = Encoded(texts.ids[: starts[1]], starts[:2])
    logits = torch.from_numpy(rng.normal(size=(len(lengths), classes)).astype(np.float32))
    network = networks.build(params, params.vocab_size, classes)
    short = params.model_copy(update={"epochs": 2})
    device.use_threads(1)
    seconds = _timed(lambda: training.fit(network, texts, logits, training.kl, few, np.zeros(1, np.int64), short))
    return seconds / (2 * len(lengths))


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
