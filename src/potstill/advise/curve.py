"""Learning curves: how the error falls with the number of texts, and from where on more texts bring little."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Curve:
    """A power law, error = `scale` · n^-`power` for n texts (Hestness et al. 2017, arXiv 1712.00409).

    It has no floor, although every task has an irreducible error: far beyond the data that it was fitted to, it is too
    optimistic.

    Attributes:
        scale: the error at one text, extrapolated.
        power: how fast the error falls; 0 or less where it does not.
        largest: the largest number of texts that it was fitted to.
    """

    scale: float
    power: float
    largest: int

    @classmethod
    def fit(cls, sizes: Sequence[int], errors: Sequence[float], total: int) -> Self:
        """Fit a line to the logarithms by least squares.

        Args:
            sizes: numbers of texts, at least two different ones.
            errors: fractions, measured on `total` texts; an error of 0 counts as half a text.
            total: see `errors`.
        """
        logs = np.log(np.maximum(errors, 0.5 / total))
        slope, intercept = np.polyfit(np.log(sizes), logs, 1)
        return cls(math.exp(intercept), -float(slope), max(sizes))

    def error(self, size: float) -> float:
        """Return the expected error with that many texts, a fraction."""
        return min(1.0, self.scale * size**-self.power)

    def gain(self, size: float) -> float:
        """Return how much twice as many texts reduce the error, a fraction; negative if they increase it."""
        return self.error(size) - self.error(2 * size)

    def saturation(self, min_gain: float, limit: float) -> float:
        """Return the number of texts, at most `limit`, above which a doubling gains less than `min_gain`."""
        if self.power <= 0:
            return self.largest
        # scale · n^-power · (1 - 2^-power) = min_gain
        size = (self.scale * (1 - 2**-self.power) / min_gain) ** (1 / self.power)
        return min(max(size, self.largest), limit)
