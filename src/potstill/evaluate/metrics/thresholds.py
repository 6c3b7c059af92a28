"""Decision thresholds of the labels of a multi-label task."""

import numpy as np

from potstill.core.labels import is_answered

SMALLEST = 2.0**-24  # the smallest positive number of half precision


def fit_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> list[float]:
    """Fit the decision threshold of each label that maximizes its F1 (Lipton et al. 2014, arXiv 1402.1892).

    Args:
        probabilities: floats (texts, labels), of texts that the model was not trained on; rows with NaN are left out.
        labels: booleans (texts, labels), the true labels.

    Returns:
        A threshold per label, rounded to half precision, midway between two of its probabilities; 0.5 for a label that
        no text has.
    """
    finite = is_answered(probabilities)
    columns = zip(probabilities[finite].T, labels[finite].T, strict=True)
    return [float(np.float16(_best(column, positive))) if positive.any() else 0.5 for column, positive in columns]


def _best(probabilities: np.ndarray, positive: np.ndarray) -> float:
    order = np.argsort(-probabilities, kind="stable")
    descending = np.append(probabilities[order], 0.0)
    true_positives = positive[order].cumsum()
    f1 = 2 * true_positives / (np.arange(1, len(order) + 1) + positive.sum())
    f1[descending[:-1] == descending[1:]] = 0  # a threshold cannot separate equal probabilities
    last = int(f1.argmax())
    return max(SMALLEST, float(descending[last] + descending[last + 1]) / 2)
