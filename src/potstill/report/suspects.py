"""Probable label errors, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from potstill.core.labels import is_answered


@dataclass(frozen=True)
class LabelError:
    """A text whose label is probably wrong.

    Attributes:
        text: the number of the text.
        label: the id of the suggested label; in a multi-label task, of the one that is missing or should not be there.
        suggested: the suggested label; in a multi-label task, with or without which label.
        confidence: its probability.
        margin: by how much that exceeds the probability of the text's own label.
    """

    text: int
    label: int
    suggested: str
    confidence: float
    margin: float


def find_label_errors(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[LabelError]:
    """Find labels that a model contradicts with more confidence than it has on average in the other class.

    The threshold of a class is its mean probability among the texts with that label. Of the classes whose threshold a
    text reaches, the most probable one is suggested; the label is a probable error if it differs. In a multi-label
    task, each label is a binary task of its own.

    Args:
        labels: ids (texts,), or booleans (texts, classes) for multi-label classification.
        probabilities: floats (texts, classes), ideally of a model that was not trained on these texts. Rows of NaN are
            left out.
        names: of the classes.

    Returns:
        The errors, the most probable first; in a multi-label task label by label.
    """
    if labels.ndim == 1:
        return _find(labels, probabilities, names)
    errors = []
    for label, (name, column, positive) in enumerate(zip(names, labels.T, probabilities.T, strict=True)):
        outcomes = f"without {name}", f"with {name}"
        for error in _find(column.astype(np.int64), np.stack([1 - positive, positive], axis=1), outcomes):
            margin = error.confidence - (1 - error.confidence)
            errors.append(replace(error, label=label, margin=margin))
    return errors


def _find(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[LabelError]:
    finite = np.flatnonzero(is_answered(probabilities))
    labels, probabilities = labels[finite], probabilities[finite]
    if not len(labels):
        return []
    one_hot = labels[:, None] == np.arange(probabilities.shape[1])
    with np.errstate(invalid="ignore"):
        thresholds = np.where(one_hot, probabilities, 0).sum(0) / one_hot.sum(0)
    # A class without texts has no threshold and is never suggested.
    reached = probabilities >= np.where(np.isfinite(thresholds), thresholds, np.inf)
    suggested = np.where(reached, probabilities, -1).argmax(1)
    errors = np.flatnonzero(reached.any(1) & (suggested != labels))
    own, other = probabilities[errors, labels[errors]], probabilities[errors, suggested[errors]]
    return [
        LabelError(
            int(finite[errors[i]]),
            int(suggested[errors[i]]),
            names[suggested[errors[i]]],
            float(other[i]),
            float(other[i]) - float(own[i]),
        )
        for i in np.argsort(own - other, kind="stable")
    ]
