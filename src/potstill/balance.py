"""What helps where some classes have far more texts than others."""

import numpy as np
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """The mean F1 over all classes, where a class that is neither predicted nor right counts 0.

    Args:
        labels: integers (n,), the right classes.
        predicted: integers (n,), the chosen ones.
        classes: how many there are.
    """
    return float(f1_score(labels, predicted, labels=range(classes), average="macro", zero_division=0))


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """What a text of each class counts, so that all classes count alike: n / (k · n_c), float32 (classes,).

    Args:
        labels: integers (n,), at least one of each class.
        classes: how many there are, k.
    """
    return compute_class_weight("balanced", classes=np.arange(classes), y=labels).astype(np.float32)
