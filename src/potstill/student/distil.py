"""Training a student from start to end: choose its words, build its network, fit it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from potstill import files
from potstill.balance import class_weights
from potstill.corpus.dataset import targets
from potstill.params.network import NetworkParams
from potstill.params.student import StudentParams
from potstill.runtime.decision import probabilities
from potstill.runtime.file import FLOAT, TABLE, check
from potstill.runtime.model import FILE, UNROUNDED, WORDS, Student
from potstill.runtime.networks import Shape, Weights
from potstill.student import networks, training, vocabulary
from potstill.student.rounding import bits_of

Log = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """A student and what is not part of its file.

    Attributes:
        student: what ships.
        words: the words that it knows, in the order of their rows.
        best: the dictionary of its best epoch, see `training.fit`.
        unrounded: its weights before they were rounded; empty if they are not.
    """

    student: Student
    words: list[str]
    best: dict[str, float]
    unrounded: Weights

    def save(self, folder: Path) -> int:
        """Write a new folder: `FILE`, `WORDS` and `UNROUNDED`. Returns the bytes of the first."""
        with files.atomic_write(folder) as part:
            part.mkdir(parents=True)
            self.student.save(part / FILE)
            files.write_json(part / WORDS, self.words)
            save_file(self.unrounded, part / UNROUNDED)
        return files.size(folder / FILE)


def distil(
    labels: list[str],
    texts: Collection[str],
    logits: np.ndarray,
    validation: pd.DataFrame,
    params: StudentParams,
    log: Log = lambda epoch: None,
) -> Trained:
    """Train a student to answer like its teacher.

    Args:
        labels: the names of the classes.
        texts: the transfer set.
        logits: the teacher's logits for it, float32 of shape (texts, classes).
        validation: a table with `text` and `label`, which chooses the epoch, and says whether a text may have several
            labels.
        params: the settings.
        log: receives a dictionary per epoch, see `training.fit`.
    """
    several = validation["label"].dtype == object
    mse, kl = (training.binary_mse, training.binary_kl) if several else (training.mse, training.kl)
    loss = mse if params.loss == "mse" else kl(params.temperature)
    return _train(
        labels, texts, probabilities(logits, several), torch.from_numpy(logits), loss, validation, params, log
    )


def train_on_labels(
    labels: list[str],
    train: pd.DataFrame,
    validation: pd.DataFrame,
    params: NetworkParams,
    log: Log = lambda epoch: None,
    class_weight: str | None = None,
) -> Trained:
    """Train the same network on hard labels alone; with `balanced` all classes count alike.

    The other arguments and the results are `distil`'s.
    """
    right = targets(train["label"], len(labels))
    several = right.ndim == 2
    sure = right.astype(float) if several else np.eye(len(labels))[right]
    weight = torch.from_numpy(class_weights(right, len(labels))) if class_weight else None
    loss = partial(training.binary_cross_entropy if several else training.cross_entropy, weight=weight)
    return _train(labels, train["text"].tolist(), sure, torch.tensor(right), loss, validation, params, log)


def _train(
    labels: list[str],
    texts: Collection[str],
    probabilities: np.ndarray,
    learnt: torch.Tensor,
    loss: training.Loss,
    validation: pd.DataFrame,
    params: NetworkParams,
    log: Log,
) -> Trained:
    judged = targets(validation["label"], len(labels))
    several = judged.ndim == 2
    shape = Shape(params.architecture, params.embedding, params.hidden)
    bits = (bits_of(TABLE, params.bits), bits_of("head.weight", params.bits)) if params.bits else (FLOAT, FLOAT)
    check(labels, shape, 1, bits)
    lookup, words = vocabulary.build(texts, probabilities, params, several)
    check(labels, shape, lookup.size, bits)
    torch.manual_seed(params.seed)
    network = networks.build(params, lookup.size, len(labels))
    fitted = training.fit(
        network,
        lookup.encode(texts),
        learnt,
        loss,
        lookup.encode(validation["text"]),
        judged,
        params,
        log,
    )
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    thresholds = [0.5] * len(labels) if several else None
    student = Student(labels, lookup, shape, weights, bits, fitted.steps, thresholds=thresholds)
    unrounded = {name: weight.numpy() for name, weight in fitted.unrounded.items()}
    return Trained(student, words, fitted.best, unrounded)
