"""Probable label errors, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelErrors:
    """Texts whose label is probably wrong.

    Attributes:
        texts: the numbers of the texts, integers (errors,), the most probable errors first.
        suggested: the suggested class of each, ids (errors,).
    """

    texts: np.ndarray
    suggested: np.ndarray


def find_label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """Find labels that a model contradicts with more confidence than it has on average in the other class.

    The threshold of a class is its mean probability among the texts with that label. Of the classes whose threshold a
    text reaches, the most probable one is suggested; the label is a probable error if it differs. The errors are sorted
    by the probability of the label minus that of the suggested class.

    Args:
        labels: ids (texts,).
        probabilities: floats (texts, classes), ideally of a model that was not trained on these texts. Rows of NaN are
            left out.
    """
    finite = np.flatnonzero(np.isfinite(probabilities).all(1))
    labels, probabilities = labels[finite], probabilities[finite]
    if not len(labels):
        return LabelErrors(finite, finite)
    classes = probabilities.shape[1]
    one_hot = labels[:, None] == np.arange(classes)
    with np.errstate(invalid="ignore"):
        thresholds = np.where(one_hot, probabilities, 0).sum(0) / one_hot.sum(0)
    # A class without texts has no threshold and is never suggested.
    reached = probabilities >= np.where(np.isfinite(thresholds), thresholds, np.inf)
    suggested = np.where(reached, probabilities, -1).argmax(1)
    errors = np.flatnonzero(reached.any(1) & (suggested != labels))
    margin = probabilities[errors, labels[errors]] - probabilities[errors, suggested[errors]]
    order = errors[np.argsort(margin, kind="stable")]
    return LabelErrors(finite[order], suggested[order])
