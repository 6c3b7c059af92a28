"""Calibration by temperature scaling (Guo et al. 2017, arXiv 1706.04599)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

# A temperature outside of these bounds means a useless student or too few labels.
LOWEST, HIGHEST = 0.1, 10.0


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that minimizes the log loss of held-out labels.

    Dividing the logits by it does not change the most probable class of a text.

    Args:
        logits: floats (texts, classes).
        labels: ids (texts,), or booleans (texts, classes) for multi-label tasks, of texts that the student was not
            trained on.

    Returns:
        A number from `LOWEST` to `HIGHEST`, with two decimals.
    """
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        scaled = logits / np.exp(logarithm)
        if labels.ndim == 2:
            return -float(log_expit(np.where(labels, scaled, -scaled)).mean())
        return -float(log_softmax(scaled, axis=1)[rows, labels].mean())

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    # A third decimal is noise, and may differ on another processor.
    return round(float(np.exp(best.x)), 2)
