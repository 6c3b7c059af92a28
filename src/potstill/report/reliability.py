"""How often a model is right when it is so sure."""

import numpy as np

BINS = 10  # of confidence


def binned(confidence: np.ndarray, right: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is right and number of texts, per tenth of confidence that has any.

    Args:
        confidence: floats (texts,) in 0 to 1.
        right: booleans (texts,).
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (float(confidence[bins == i].mean()), float(right[bins == i].mean()), int((bins == i).sum()))
        for i in range(BINS)
        if (bins == i).any()
    ]
