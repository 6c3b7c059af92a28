"""What helps where some classes have far more texts than others."""

import numpy as np
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """The mean F1 over all classes, where a class that is neither predicted nor right counts 0.

    Args:
        labels: integers (n,), the right classes; or booleans (n, classes) where a text may have several.
        predicted: the chosen ones, likewise.
        classes: how many there are.
    """
    return float(f1_score(labels, predicted, labels=range(classes), average="macro", zero_division=0))


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """What a text of each class counts, so that all classes count alike: n / (k · n_c), float32 (classes,).

    Args:
        labels: integers (n,), at least one of each class; or booleans (n, classes) where a text may have several. Then
            each label is a task of two classes, and float32 (2, classes) what a text without and with it counts.
        classes: how many there are, k.
    """
    if labels.ndim == 2:
        counts = np.stack([(~labels).sum(0), labels.sum(0)])
        return (len(labels) / (2 * counts.clip(1))).astype(np.float32)
    return compute_class_weight("balanced", classes=np.arange(classes), y=labels).astype(np.float32)


def majority(labels: np.ndarray) -> float:
    """The accuracy of always answering what is right most often.

    Args:
        labels: integers (n,), or booleans (n, classes) where a text may have several.
    """
    return float(np.unique(labels, axis=0, return_counts=True)[1].max() / len(labels))
