"""Choosing from which confidence on a student answers, so that its answers are as good as promised.

Learn then Test (Angelopoulos et al. 2021, arXiv 2110.01052), for the share of answers that are wrong. Thresholds are
tested in a fixed sequence, from the highest to the lowest, until one fails: a threshold passes if that share is below
1 - target by an exact binomial test (the upper bound of Clopper and Pearson 1934). Testing in a fixed sequence needs no
correction for their number.

The bound is exact for texts that are drawn as those of the calibration, that had no part in the training, and for a
student that is not more often wrong where it is more confident. But validation also chose the student's epoch, its rung
and its temperature, hence the stricter `level`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import binom

from potstill.export.params import GuaranteeParams
from potstill.runtime.guarantee import Guarantee, least, level

# From the highest: the sequence is fixed before any text is seen.
GRID = np.round(np.arange(999, -1, -1) / 1000, 3)


def guarantee(
    calibration: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray] | None, params: GuaranteeParams
) -> Guarantee:
    """Choose the thresholds of a guarantee.

    Args:
        calibration: the student's probabilities, float32 (texts, classes), and the ids of the right classes, or of its
            teacher's, (texts,), of texts that the student was not trained on.
        test: the same of the test split, which has no part in the choice; None without one.
        params: what is to be promised.
    """
    probabilities, wanted = calibration
    predicted, classes = probabilities.argmax(1), probabilities.shape[1]
    is_wrong, confidence = predicted != wanted, probabilities.max(1, initial=0)
    if params.per_class:
        each = [predicted == i for i in range(classes)]
        found = [lowest(confidence[own], is_wrong[own], params, classes) for own in each]
    else:
        found = [lowest(confidence, is_wrong, params)] * classes
    made = Guarantee(params.kind, params.target, params.confidence, params.per_class, found, len(wanted), 0.0)
    made = replace(made, answered=_outcome(made, *calibration)["answered"])
    return made if test is None else replace(made, test=_outcome(made, *test))


def lowest(confidence: np.ndarray, is_wrong: np.ndarray, params: GuaranteeParams, promises: int = 1) -> float | None:
    """Return the lowest threshold whose answers are as good as promised; None if that can be shown of none.

    The sequence begins where twice as many texts are answered as could pass without an error, so that one error among
    the first does not end it, or half of the texts if that is fewer.

    Args:
        confidence: the probabilities of the predicted classes, float32 (texts,).
        is_wrong: booleans (texts,).
        params: what is to be promised.
        promises: the number of promises that have to hold at once (Bonferroni).
    """
    fewest = least(params.target, params.confidence, promises)
    first = max(fewest, min(2 * fewest, len(confidence) // 2))
    thresholds = GRID.astype(np.float32)
    answered = _counts(confidence, thresholds)
    p_values = binom.cdf(_counts(confidence[is_wrong], thresholds), answered, 1 - params.target)
    passed = p_values <= level(params.confidence, promises)
    tested = np.flatnonzero(answered >= first)
    failed = np.flatnonzero(~passed[tested])
    end = failed[0] if len(failed) else len(tested)
    return float(GRID[tested[end - 1]]) if end else None


def _counts(confidence: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return how many numbers reach each threshold."""
    return len(confidence) - np.searchsorted(np.sort(confidence), thresholds)


def _outcome(made: Guarantee, probabilities: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Return the number of texts, the share that is answered, and the share of answers that are as wanted."""
    answers = made.answers(probabilities)
    kept = (probabilities.argmax(1) == wanted)[answers]
    return {
        "rows": len(wanted),
        "answered": round(len(kept) / max(1, len(wanted)), 6),
        "kept": round(float(kept.mean()), 6) if len(kept) else None,
    }
