"""From which probability on a text has a label, where it may have several."""

import numpy as np

SMALLEST = 2.0**-24  # that half precision holds, above nothing at all


def fit(probabilities: np.ndarray, targets: np.ndarray) -> list[float]:
    """The thresholds with the best F1 of each label (Lipton et al. 2014, arXiv 1402.1892).

    Args:
        probabilities: floats (texts, labels), of texts that the model was not trained on; rows with NaN are left out.
        targets: booleans (texts, labels).

    Returns:
        A number per label that half precision holds, midway between two of its probabilities; 0.5 for a label that no
        text has.
    """
    there = np.isfinite(probabilities).all(1)
    columns = zip(probabilities[there].T, targets[there].T, strict=True)
    return [float(np.float16(_best(column, right))) if right.any() else 0.5 for column, right in columns]


def _best(probabilities: np.ndarray, right: np.ndarray) -> float:
    order = np.argsort(-probabilities, kind="stable")
    falling = np.append(probabilities[order], 0.0)
    found = right[order].cumsum()
    f1 = 2 * found / (np.arange(1, len(order) + 1) + right.sum())
    f1[falling[:-1] == falling[1:]] = 0  # texts of equal probability stay together
    last = int(f1.argmax())
    return max(SMALLEST, float(falling[last] + falling[last + 1]) / 2)
