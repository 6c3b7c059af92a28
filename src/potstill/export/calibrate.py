"""How sure a student may be: temperature scaling."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

# Outside of these the student is of no use, or there are too few labels to say.
LOWEST, HIGHEST = 0.1, 10.0


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which held-out labels are most likely (Guo et al. 2017, arXiv 1706.04599).

    Dividing by it changes no text's most probable class.

    Args:
        logits: floats (texts, classes).
        labels: integers (texts,), of texts that the student was not trained on; or booleans (texts, classes) where each
            may have several labels.

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
    # A third decimal says nothing, and might differ on another processor.
    return round(float(np.exp(best.x)), 2)
