"""Scores of a classifier, their confidence intervals and a paired significance test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest, norm
from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef

from potstill.core.class_weights import macro_f1
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, is_correct, predict_labels

BINS = 15  # of confidence, as in Guo et al. 2017
OUTCOMES = ("TP", "FN", "FP", "TN")  # true positives, false negatives and so on
FLOOR = 1e-12  # of a probability in the log loss: a text with probability 0 costs 27.6 nats, not infinity


def interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95% confidence interval of the fraction `correct / total` by Wilson's score method (Wilson 1927).

    Raises:
        ValueError: `total` is not positive, or `correct` is not between 0 and `total`.
    """
    bounds = binomtest(correct, total).proportion_ci(confidence_level=0.95, method="wilson")
    return _rounded(bounds.low), _rounded(bounds.high)


def mcnemar(first_correct: Any, second_correct: Any) -> dict[str, Any]:
    """Test whether two classifiers differ in accuracy on the same texts, by McNemar's mid-p test.

    Fagerland, Lydersen and Laake (BMC Medical Research Methodology 13, 2013) recommend it: the exact test is
    conservative, so that it would often find nothing where the interval excludes 0. The 95% interval of the difference
    of the two accuracies is "Wald+2" of Agresti and Min (Statistics in Medicine 24, 2005), which adds half a text to
    each of the four cells, so that it also holds where the classifiers differ on few texts.

    Args:
        first_correct: booleans (n,), whether each prediction of the first classifier is correct.
        second_correct: booleans (n,), the same of the second, for the same texts in the same order.

    Returns:
        `only_first` and `only_second` (numbers of texts that only the first, or only the second, gets right), the
        two-sided `p`, and `difference`, `difference_low`, `difference_high` (first minus second, fractions).

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    first, second = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    if first.shape != second.shape or not first.size:
        raise ValueError(f"a paired test requires equal lengths above 0 (found: {first.shape} and {second.shape})")
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant, surplus, total = only_first + only_second, only_first - only_second, first.size
    middle = surplus / (total + 2)
    margin = norm.ppf(0.975) * np.sqrt(discordant + 1 - surplus**2 / (total + 2)) / (total + 2)
    return {
        "only_first": only_first,
        "only_second": only_second,
        # Significant digits, not decimals, so that a small p does not become 0.
        "p": float(f"{_mid_p(min(only_first, only_second), discordant):.6g}"),
        "difference": _rounded(surplus / total),
        "difference_low": _rounded(max(middle - margin, -1)),
        "difference_high": _rounded(min(middle + margin, 1)),
    }


def _mid_p(fewer: int, discordant: int) -> float:
    """Return the two-sided p of `fewer` of `discordant` texts, each of the two classifiers being as likely to be right.

    Of the numbers that are as likely as the one found, half of the probability counts.
    """
    tail = binom.cdf(fewer, discordant, 0.5) - binom.pmf(fewer, discordant, 0.5) / 2
    return float(min(2 * tail, 1.0))


def scores(labels: Any, probabilities: Any, thresholds: Any | None = None) -> dict[str, float]:
    """Score one model.

    Args:
        labels: the true labels: ids (n,), or booleans (n, k) for multi-label tasks.
        probabilities: floats (n, k), the model's; NaN for a text that it has not answered, which counts as wrong.
        thresholds: k floats, the decision threshold of each label, for multi-label tasks; else None.

    Returns:
        Floats with 6 decimals, so that a file of them is the same to the byte on every run:
        `accuracy` with its 95% interval `accuracy_low`, `accuracy_high`; `macro_f1`, the mean over all k classes,
        where a class that is neither predicted nor true counts as 0; `matthews`, the Matthews correlation coefficient
        (Gorodkin 2004 for more than two classes); `log_loss` in nats and `calibration_error`, over the texts that it
        has answered.
        For multi-label tasks `accuracy` is subset accuracy (a text counts as correct if all its labels are);
        `micro_f1` replaces `matthews`; `log_loss` and `calibration_error` are over all pairs of a text and a label.

    Raises:
        PotstillError: a probability is infinite, or no text is answered.
        ValueError: the shapes do not match.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    multi_label = thresholds is not None
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[: 1 + multi_label]:
        raise ValueError(f"labels {labels.shape} and probabilities {probabilities.shape} do not match")
    answered = is_answered(probabilities)
    if not answered.any() or np.isinf(probabilities).any():
        raise PotstillError("a model's probabilities are not finite: its training diverged. Lower its learning rate.")
    predicted = predict_labels(probabilities, thresholds)
    correct = is_correct(predicted, labels) & answered
    low, high = interval(int(correct.sum()), len(correct))
    result = {
        "accuracy": correct.mean(),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": macro_f1(labels, predicted, probabilities.shape[1]),
    }
    sure, true = probabilities[answered], labels[answered]
    if multi_label:
        likelihood = np.where(true, sure, 1 - sure)
        result["micro_f1"] = f1_score(labels, predicted, average="micro", zero_division=0)
        result["calibration_error"] = calibration_error(sure.ravel(), true.ravel())
    else:
        likelihood = sure[np.arange(len(sure)), true]
        result["matthews"] = matthews_corrcoef(labels, predicted)
        result["calibration_error"] = calibration_error(sure.max(axis=1), correct[answered])
    result["log_loss"] = -np.log(likelihood.clip(FLOOR, 1)).mean()
    return {name: _rounded(value) for name, value in result.items()}


def calibration_error(confidence: Any, correct: Any) -> float:
    """Return the expected calibration error (Guo et al. 2017, arXiv 1706.04599).

    Args:
        confidence: floats (n,) from 0 to 1, the probability of the predicted class, or of a label.
        correct: booleans (n,), whether the prediction is correct, or the text has the label.

    Returns:
        The gap between mean confidence and accuracy in each of 15 bins of equal width, averaged over the texts; a
        fraction.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    # right=True makes the bins (low, high], as in the paper.
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def label_confusion(labels: Any, predicted: Any, names: Sequence[str]) -> pd.DataFrame:
    """Count true and false positives and negatives of each label of a multi-label task.

    Args:
        labels: booleans (n, k), the true labels.
        predicted: booleans (n, k), the predicted ones.
        names: k names of the labels.

    Returns:
        A table of counts: a row per label, the columns `OUTCOMES`.
    """
    labels, predicted = np.asarray(labels, bool), np.asarray(predicted, bool)
    outcomes = labels & predicted, labels & ~predicted, ~labels & predicted, ~labels & ~predicted
    return pd.DataFrame(np.sum(outcomes, 1).T, pd.Index(names, name="label"), OUTCOMES)


def confusion(labels: Any, predicted: Any, names: Sequence[str]) -> pd.DataFrame:
    """Return the confusion matrix.

    Args:
        labels: integers (n,), the ids of the true classes.
        predicted: integers (n,), the ids of the predicted ones.
        names: k names of the classes.

    Returns:
        A (k, k) table of counts: a row per true class, a column per predicted one.
    """
    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    return pd.DataFrame(counts, pd.Index(names, name="actual"), pd.Index(names, name="predicted"))


def _rounded(value: Any) -> float:
    # Adding 0.0 turns -0.0 into 0.0.
    return round(float(value), 6) + 0.0
