"""Accuracy by confidence, the points of a reliability diagram (Guo et al. 2017, arXiv 1706.04599)."""

from dataclasses import dataclass

import numpy as np

BINS = 10  # of equal width


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: mean confidence, accuracy and number of texts."""

    confidence: float
    accuracy: float
    texts: int


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[Bin]:
    """Return the bins of confidence that have any text.

    Args:
        confidence: floats (texts,) from 0 to 1.
        correct: booleans (texts,).
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    members = [bins == i for i in range(BINS) if (bins == i).any()]
    return [Bin(float(confidence[mask].mean()), float(correct[mask].mean()), int(mask.sum())) for mask in members]
