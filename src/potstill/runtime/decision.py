"""From scores to labels, and whether they are right.

Where a text has one label, what is right and what is chosen are ids, int64 (texts,). Where it may have several, or
none, they are booleans (texts, labels). So the shape of an array says which kind of task it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

JOINT = "|"  # between the labels of a text, in tables


def named(chosen: np.ndarray, labels: Sequence[str]) -> list[str]:
    """The name of each text's label, or the names of its labels, joined."""
    if chosen.ndim == 1:
        return [labels[id_] for id_ in chosen.tolist()]
    return [JOINT.join(label for label, held in zip(labels, row, strict=True) if held) for row in chosen.tolist()]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function, which never overflows so."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


def probabilities(logits: np.ndarray, several: bool) -> np.ndarray:
    """Logits as probabilities, both floats (texts, labels): softmax, or if a text may have several labels, sigmoid."""
    if several:
        return sigmoid(logits)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def choose(scores: np.ndarray, thresholds: Any = None) -> np.ndarray:
    """Choose labels.

    Args:
        scores: floats (texts, labels).
        thresholds: the least score of a label that is chosen, one for all or one each; None to choose the best label.

    Returns:
        Ids (texts,), or with thresholds booleans (texts, labels).
    """
    return scores.argmax(1) if thresholds is None else scores >= np.asarray(thresholds, scores.dtype)


def right(chosen: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether each text got the right label, or exactly the right labels: booleans (texts,)."""
    same = chosen == targets
    return same if same.ndim == 1 else same.all(1)


def confidence(probabilities: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """How sure a model is of what it chose, floats (texts,): of several labels, as if each came by itself.

    Args:
        probabilities: floats (texts, labels).
        chosen: what `choose` gave.
    """
    if chosen.ndim == 1:
        return probabilities.max(1)
    return np.where(chosen, probabilities, 1 - probabilities).prod(1)


def likely(scores: np.ndarray, targets: np.ndarray, even: float = 0.0) -> np.ndarray:
    """What is chosen without thresholds of its own: the best label, or those of more than even odds.

    Args:
        scores: floats (texts, labels).
        targets: ids or booleans, which say whether a text may have several labels.
        even: the score of even odds: 0 of logits.
    """
    return choose(scores, even if targets.ndim == 2 else None)


def accuracy(scores: np.ndarray, targets: np.ndarray, even: float = 0.0) -> float:
    """The share of texts for which what is `likely` is right."""
    return float(right(likely(scores, targets, even), targets).mean())
