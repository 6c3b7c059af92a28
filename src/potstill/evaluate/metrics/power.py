"""How many test texts a paired comparison requires."""

from collections.abc import Mapping
from math import ceil, floor, log10
from typing import Any

from scipy.stats import norm

POWER = 0.8
MOST = 100_000


def texts_needed(test: Mapping[str, Any], texts: int, bound: float) -> int | None:
    """Return the number of texts with which the 95% interval of a difference would exclude a bound, with 80% power.

    This is the sample size of the paired design of Connor (Biometrics 43, 1987), (z₀.₉₇₅ + z₀.₈)² σ² / (d − bound)²,
    where d is the observed difference, and σ² its variance for one text. Both are those of the Wald+2 interval of
    `scores.mcnemar`, so that fewer texts than there are never suffice for what these do not decide, and a few texts on
    which the classifiers happen to agree do not count as no variance.

    Args:
        test: the result of `scores.mcnemar`.
        texts: the number of texts that it is of.
        bound: 0, or a non-inferiority margin with its sign; a fraction.

    Returns:
        The number, rounded up to two significant digits; None above `MOST`.
    """
    low, high = test["difference_low"], test["difference_high"]
    distance = abs((low + high) / 2 - bound)
    if not distance:
        return None
    ratio = (norm.ppf(0.975) + norm.ppf(POWER)) / norm.ppf(0.975)
    needed = (texts + 2) * (ratio * (high - low) / 2 / distance) ** 2
    if needed > MOST:
        return None
    unit = 10 ** max(0, floor(log10(max(1, needed))) - 1)
    return ceil(needed / unit) * unit
