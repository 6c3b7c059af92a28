"""Labels that are probably wrong, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Suspects:
    """What a model's probabilities say about the labels of some texts.

    Attributes:
        rows: the numbers of the suspected texts, the most suspicious first.
        suggested: the class that each seems to belong to, same order.
    """

    rows: np.ndarray
    suggested: np.ndarray


def find(labels: np.ndarray, probabilities: np.ndarray) -> Suspects:
    """Find labels that a model contradicts with more confidence than it has on average in the other class.

    A class's threshold is the mean probability of that class among the texts that are labelled so. A text counts as
    one of the class, of those whose threshold it reaches, that is most probable; it is suspected if that is not its
    label's. The most suspicious have the least probability of their label compared with the suggested one.

    Args:
        labels: ids (texts,).
        probabilities: (texts, classes), best of a model that was not trained on these texts; a row of NaN is left out.
    """
    there = np.flatnonzero(np.isfinite(probabilities).all(1))
    labels, probabilities = labels[there], probabilities[there]
    if not len(labels):
        return Suspects(there, there)
    classes = probabilities.shape[1]
    mine = labels[:, None] == np.arange(classes)
    with np.errstate(invalid="ignore"):
        thresholds = np.where(mine, probabilities, 0).sum(0) / mine.sum(0)
    # A class without texts has no threshold, and nothing is one of it.
    reached = probabilities >= np.where(np.isfinite(thresholds), thresholds, np.inf)
    counted = np.where(reached, probabilities, -1).argmax(1)
    wrong = np.flatnonzero(reached.any(1) & (counted != labels))
    margin = probabilities[wrong, labels[wrong]] - probabilities[wrong, counted[wrong]]
    order = np.argsort(margin, kind="stable")
    return Suspects(there[wrong[order]], counted[wrong[order]])
