"""Scores of a classifier on a test split, and how sure one can be of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm
from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef

from potstill.balance import macro_f1
from potstill.errors import PotstillError
from potstill.runtime.decision import choose, right

BINS = 15  # of confidence, as in Guo 2017
FLOOR = 1e-12  # of a probability before its logarithm: one text that is surely wrong costs 27.6, not infinity


def interval(correct: int, total: int) -> tuple[float, float]:
    """Give the 95% interval of a share, by Wilson's score method (Wilson 1927).

    Args:
        correct: how many were right.
        total: out of how many.

    Returns:
        The lower and upper bound, fractions.

    Raises:
        ValueError: `total` is not positive, or `correct` not within 0 and `total`.
    """
    bounds = binomtest(correct, total).proportion_ci(confidence_level=0.95, method="wilson")
    return _rounded(bounds.low), _rounded(bounds.high)


def mcnemar(a_correct: Any, b_correct: Any) -> dict[str, Any]:
    """Compare two classifiers on the same texts.

    The test is McNemar's, exact: of the texts that only one of the two gets right, is the split
    further from half and half than chance makes it (McNemar 1947)? The interval of the difference
    of the two accuracies is "Wald+2" of Agresti and Min (Statistics in Medicine 24, 2005): half a
    text is added to each of the four cells, so that it holds where few texts tell the two apart too.

    Args:
        a_correct: booleans (n,), whether the first classifier is right.
        b_correct: booleans (n,), the second, same texts in the same order.

    Returns:
        `only_first` and `only_second` (texts that only that one gets right), the two-sided `p`,
        and `difference`, `difference_low`, `difference_high` (first minus second, fractions).

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    first, second = np.asarray(a_correct, bool), np.asarray(b_correct, bool)
    if first.shape != second.shape or not first.size:
        raise ValueError(f"a paired test needs equal lengths above 0, not {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    apart, surplus, total = only_first + only_second, only_first - only_second, first.size
    middle = surplus / (total + 2)
    reach = norm.ppf(0.975) * np.sqrt(apart + 1 - surplus**2 / (total + 2)) / (total + 2)
    return {
        "only_first": only_first,
        "only_second": only_second,
        # Significant digits, not decimals: a small p must not become zero.
        "p": float(f"{binomtest(only_first, apart).pvalue:.6g}") if apart else 1.0,
        "difference": _rounded(surplus / total),
        "difference_low": _rounded(max(middle - reach, -1)),
        "difference_high": _rounded(min(middle + reach, 1)),
    }


def scores(
    labels: Any, probabilities: Any, reference: Any | None = None, thresholds: Any | None = None
) -> dict[str, float]:
    """Score one model.

    Args:
        labels: integers (n,), the right class of every text; or booleans (n, k) where it may have several.
        probabilities: floats (n, k), the model's, a column per class of the task.
        reference: what another model chose, usually the teacher, as `labels`; None leaves `agreement` out.
        thresholds: k floats, from which probability on a text has a label, where it may have several; else None.

    Returns:
        Floats with 6 decimals, so that a file of them is the same to the byte on every run:
        `accuracy` with its 95% interval `accuracy_low`, `accuracy_high`; `macro_f1`, the mean over
        all k classes, where a class that is neither predicted nor right counts 0; `matthews`
        (Gorodkin 2004 for more than two classes); `log_loss` in nats; `calibration_error`
        (see there); `agreement`, the share of texts on which the reference chooses the same class.
        Where a text may have several labels, it counts as right, or agreed upon, if all of them are; `micro_f1`
        stands in the place of `matthews`; `log_loss` and `calibration_error` are over every text with every label.

    Raises:
        PotstillError: a probability is not finite.
        ValueError: the shapes do not fit together.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    several = thresholds is not None
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[: 1 + several]:
        raise ValueError(f"{labels.shape} labels do not fit {probabilities.shape} probabilities")
    if not np.isfinite(probabilities).all():
        raise PotstillError("a model's probabilities are not finite: it diverged, lower its learning rate")
    predicted = choose(probabilities, thresholds)
    correct = right(predicted, labels)
    low, high = interval(int(correct.sum()), len(correct))
    only: dict[str, Any] = {}
    if several:
        likelihood = np.where(labels, probabilities, 1 - probabilities)
        only["micro_f1"] = f1_score(labels, predicted, average="micro", zero_division=0)
        only["calibration_error"] = calibration_error(probabilities.ravel(), labels.ravel())
    else:
        likelihood = probabilities[np.arange(len(labels)), labels]
        only["matthews"] = matthews_corrcoef(labels, predicted)
        only["calibration_error"] = calibration_error(probabilities.max(axis=1), correct)
    result = {
        "accuracy": correct.mean(),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": macro_f1(labels, predicted, probabilities.shape[1]),
        "log_loss": -np.log(likelihood.clip(FLOOR, 1)).mean(),
        **only,
    }
    if reference is not None:
        if np.shape(reference) != labels.shape:
            raise ValueError(f"{np.shape(reference)} reference does not fit {labels.shape} labels")
        result["agreement"] = right(predicted, reference).mean()
    return {name: _rounded(value) for name, value in result.items()}


def calibration_error(confidence: Any, correct: Any) -> float:
    """Measure how far confidence and accuracy lie apart.

    This is the expected calibration error of Guo et al. 2017 (arXiv 1706.04599).

    Args:
        confidence: floats (n,) in 0 to 1, the probability of the class that was chosen, or of one of several labels.
        correct: booleans (n,), whether it was right.

    Returns:
        The gap between mean confidence and accuracy in each of 15 equally wide bins of confidence,
        averaged over the texts; a fraction.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    # right=True makes the bins (low, high], as in the paper.
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def counts(labels: Any, chosen: Any, names: Sequence[str]) -> pd.DataFrame:
    """Count the texts per label and whether they have it, where a text may have several.

    Args:
        labels: booleans (n, k), which labels are right.
        chosen: booleans (n, k), which were chosen.
        names: k names of the labels.

    Returns:
        A table of counts: a row per label, the columns `found` (right and chosen), `missed` (right alone), `wrong`
        (chosen alone) and `absent` (neither).
    """
    labels, chosen = np.asarray(labels, bool), np.asarray(chosen, bool)
    cases = {
        "found": labels & chosen,
        "missed": labels & ~chosen,
        "wrong": ~labels & chosen,
        "absent": ~labels & ~chosen,
    }
    return pd.DataFrame({case: held.sum(0) for case, held in cases.items()}, pd.Index(names, name="label"))


def confusion(labels: Any, predicted: Any, names: Sequence[str]) -> pd.DataFrame:
    """Count the texts per right and predicted class.

    Args:
        labels: integers (n,), the right classes.
        predicted: integers (n,), the chosen ones.
        names: k names of the classes.

    Returns:
        A (k, k) table of counts: a row per right class, a column per predicted one.
    """
    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    return pd.DataFrame(counts, index=pd.Index(names, name="actual"), columns=pd.Index(names, name="predicted"))


def _rounded(value: Any) -> float:
    # Adding 0.0 turns -0.0 into 0.0.
    return round(float(value), 6) + 0.0
