"""From logits to probabilities, from scores to labels, and whether these are correct.

Chosen and correct labels are int64 ids (texts,), or in a multi-label task booleans (texts, labels). So the number of
dimensions tells which kind of task it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

JOINT = "|"  # between the labels of a text, in tables


def label_names(chosen: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Return the label of each text, empty for a negative id; or in a multi-label task its labels joined by `JOINT`."""
    if chosen.ndim == 1:
        return [labels[id_] if id_ >= 0 else "" for id_ in chosen.tolist()]
    return [JOINT.join(label for label, present in zip(labels, row, strict=True) if present) for row in chosen.tolist()]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, by tanh, which does not overflow."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


def probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return the softmax of logits, or in a multi-label task their sigmoid; both are floats (texts, labels)."""
    if multi_label:
        return sigmoid(logits)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def predict_labels(scores: np.ndarray, thresholds: Any = None) -> np.ndarray:
    """Choose the label with the best of the scores (texts, labels): ids (texts,), -1 where the scores are NaN.

    With thresholds, one for all or one per label, choose all labels whose score reaches theirs: booleans (texts,
    labels).
    """
    if thresholds is None:
        return np.where(np.isnan(scores.max(1)), -1, scores.argmax(1))
    return scores >= np.asarray(thresholds, scores.dtype)


def is_answered(scores: np.ndarray) -> np.ndarray:
    """Return whether a model has scores (texts, labels) for each text, which are NaN otherwise: booleans (texts,)."""
    return np.isfinite(scores).all(1)


def is_correct(chosen: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return whether the label, or all labels, of each text are correct: booleans (texts,)."""
    same = chosen == targets
    return same if same.ndim == 1 else same.all(1)


def confidence(probabilities: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the probability of each text's chosen label or set of labels (taken as independent), floats (texts,)."""
    if chosen.ndim == 1:
        return probabilities.max(1)
    return np.where(chosen, probabilities, 1 - probabilities).prod(1)


def predict_labels_default(scores: np.ndarray, targets: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Choose labels without fitted thresholds: the best one, or in a multi-label task those that reach `threshold`.

    Args:
        scores: floats (texts, labels).
        targets: ids or booleans; only their number of dimensions is used.
        threshold: that of a multi-label task: 0 for logits, 0.5 for probabilities.
    """
    return predict_labels(scores, threshold if targets.ndim == 2 else None)


def accuracy(scores: np.ndarray, targets: np.ndarray, threshold: float = 0.0) -> float:
    """Return the share of texts whose `predict_labels_default` labels are all correct."""
    return float(is_correct(predict_labels_default(scores, targets, threshold), targets).mean())
