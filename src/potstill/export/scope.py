"""The threshold below which a student's texts are out of scope: "none of these"."""

import math

import numpy as np
from scipy.stats import beta

LEVEL = 0.95  # of the upper bound
DECIMALS = 4  # of the threshold


def fit(scores: np.ndarray, false_alarms: float) -> dict[str, float]:
    """Fit the threshold of a false-alarm rate by split conformal prediction (Vovk et al. 2005).

    A new text of the same kind has each rank among the scores with the same probability. So it is below the k-th lowest
    of n scores with a probability of at most k / (n + 1), whatever their distribution. That is the mean over sets of n
    texts: the rate of one set's threshold follows the distribution Beta(k, n + 1 - k), or is lower.

    Args:
        scores: energy scores (texts,) of texts that the student was not trained on.
        false_alarms: the share of in-scope texts that may be called out of scope. With fewer than 1 / `false_alarms`
            - 1 texts the lowest score is the threshold, and the rate is the higher one that this has.

    Returns:
        The fact `scope`, see `runtime.facts`: `threshold`; `false_alarms`, the rate; `false_alarms_high`, its 95% upper
        bound for this threshold; `texts`, the number of scores.
    """
    count = len(scores)
    rank = max(1, math.floor(false_alarms * (count + 1)))
    # Rounded down, so that a runtime whose logits differ in the last digits decides the text of this score alike.
    threshold = math.floor(np.sort(scores)[rank - 1] * 10**DECIMALS) / 10**DECIMALS
    return {
        "threshold": threshold,
        "false_alarms": round(max(false_alarms, 1 / (count + 1)), 6),
        "false_alarms_high": round(float(beta.ppf(LEVEL, rank, count + 1 - rank)), 6),
        "texts": count,
    }
