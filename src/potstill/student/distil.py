"""Training a student from start to end: choose its words, build its network, fit it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from scipy.special import softmax

from potstill import files
from potstill.balance import class_weights
from potstill.params.network import NetworkParams
from potstill.params.student import StudentParams
from potstill.runtime.file import FLOAT, TABLE
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
        with files.whole(folder) as part:
            part.mkdir(parents=True)
            self.student.save(part / FILE)
            files.write_json(part / WORDS, self.words)
            save_file(self.unrounded, part / UNROUNDED)
        return files.size(folder / FILE)


def distil(
    labels: list[str],
    texts: list[str],
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
        validation: a table with `text` and `label`, which chooses the epoch.
        params: the settings.
        log: receives a dictionary per epoch, see `training.fit`.
    """
    loss = training.mse if params.loss == "mse" else training.kl(params.temperature)
    targets = torch.tensor(logits)
    return _train(labels, texts, softmax(logits, axis=1), targets, loss, validation, params, log)


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
    ids = train["label"].to_numpy()
    targets = torch.tensor(ids)
    sure = np.eye(len(labels))[ids]
    weight = torch.from_numpy(class_weights(ids, len(labels))) if class_weight else None
    loss = partial(training.cross_entropy, weight=weight)
    return _train(labels, train["text"].tolist(), sure, targets, loss, validation, params, log)


def _train(
    labels: list[str],
    texts: list[str],
    probabilities: np.ndarray,
    targets: torch.Tensor,
    loss: training.Loss,
    validation: pd.DataFrame,
    params: NetworkParams,
    log: Log,
) -> Trained:
    lookup, words = vocabulary.build(texts, probabilities, params)
    torch.manual_seed(params.seed)
    network = networks.build(params, lookup.size, len(labels))
    fitted = training.fit(
        network,
        lookup.encode(texts),
        targets,
        loss,
        lookup.encode(validation["text"]),
        validation["label"].to_numpy(),
        params,
        log,
    )
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    shape = Shape(params.architecture, params.embedding, params.hidden)
    bits = (bits_of(TABLE, params.bits), bits_of("head.weight", params.bits)) if params.bits else (FLOAT, FLOAT)
    student = Student(labels, lookup, shape, weights, bits, fitted.steps)
    unrounded = {name: weight.numpy() for name, weight in fitted.unrounded.items()}
    return Trained(student, words, fitted.best, unrounded)
