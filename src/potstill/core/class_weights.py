"""Scores and weights for classes of different frequency."""

import numpy as np
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Return the unweighted mean of the F1 scores of all classes; 0 for a class that is neither present nor predicted.

    Args:
        labels: the right class ids (texts,), or booleans (texts, classes) for multi-label classification.
        predicted: the predicted ones, likewise.
    """
    return float(f1_score(labels, predicted, labels=range(classes), average="macro", zero_division=0))


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return balanced class weights n / (k · n_c), with which all k classes count alike.

    Args:
        labels: class ids (texts,), at least one of each class, or booleans (texts, classes) for multi-label
            classification.
        classes: the number of classes k.

    Returns:
        float32 (classes,). For multi-label classification, where each label is a task of two classes, float32
        (2, classes): the weights of a text without and with the label.
    """
    if labels.ndim == 2:
        counts = np.stack([(~labels).sum(0), labels.sum(0)])
        return (len(labels) / (2 * counts.clip(1))).astype(np.float32)
    return compute_class_weight("balanced", classes=np.arange(classes), y=labels).astype(np.float32)


def majority(labels: np.ndarray) -> float:
    """Return the accuracy of always predicting the most frequent label or, of booleans (texts, classes), label set."""
    return float(np.unique(labels, axis=0, return_counts=True)[1].max() / len(labels))
