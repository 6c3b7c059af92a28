"""Training a student from start to end: choose its words, build it, fit it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from potstill.params.network import NetworkParams
from potstill.params.student import StudentParams
from potstill.student import tokenizer, training
from potstill.student.model import Student

Log = Callable[[dict[str, float]], None]


def distil(
    labels: list[str],
    texts: list[str],
    logits: np.ndarray,
    validation: pd.DataFrame,
    params: StudentParams,
    log: Log = lambda epoch: None,
) -> tuple[Student, dict[str, float]]:
    """Train a student to answer like its teacher.

    Args:
        labels: the names of the classes.
        texts: the transfer set.
        logits: the teacher's logits for it, float32 of shape (texts, classes).
        validation: a table with `text` and `label`, which chooses the epoch.
        params: the settings.
        log: receives a dictionary per epoch, see `training.fit`.

    Returns:
        The student, and the dictionary of its best epoch.
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
) -> tuple[Student, dict[str, float]]:
    """Train the same network on hard labels alone. Arguments and results are `distil`'s."""
    ids = train["label"].to_numpy()
    targets = torch.tensor(ids)
    sure = np.eye(len(labels))[ids]
    return _train(labels, train["text"].tolist(), sure, targets, training.cross_entropy, validation, params, log)


def _train(
    labels: list[str],
    texts: list[str],
    probabilities: np.ndarray,
    targets: torch.Tensor,
    loss: training.Loss,
    validation: pd.DataFrame,
    params: NetworkParams,
    log: Log,
) -> tuple[Student, dict[str, float]]:
    vocabulary = tokenizer.choose(texts, probabilities, params.words - 1, params.influence, params.ngrams)
    student = Student.create(labels, vocabulary, params)
    best = training.fit(
        student.network,
        student.encode(texts),
        targets,
        loss,
        student.encode(validation["text"].tolist()),
        validation["label"].to_numpy(),
        params,
        log,
    )
    return student, best
