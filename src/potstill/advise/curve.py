"""Learning curves: how the error falls with the number of texts, and where more of them stop paying."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Curve:
    """An error that falls as a power of the number of texts, `scale` · n^-`power` (Hestness 2017, arXiv 1712.00409).

    It knows no floor, though every task has one, so that far beyond what it was fitted to it promises too much.

    Attributes:
        scale: the error of one text, as it were.
        power: how fast it falls; 0 or less where it does not.
        largest: the most texts that it was fitted to.
    """

    scale: float
    power: float
    largest: int

    @classmethod
    def fit(cls, sizes: Sequence[int], errors: Sequence[float], total: int) -> Self:
        """Fit a line to the logarithms, by least squares.

        Args:
            sizes: numbers of texts, at least two different ones.
            errors: fractions, measured on `total` texts; one of 0 counts as half a text.
            total: see `errors`.
        """
        logs = np.log(np.maximum(errors, 0.5 / total))
        slope, start = np.polyfit(np.log(sizes), logs, 1)
        return cls(math.exp(start), -float(slope), max(sizes))

    def error(self, size: float) -> float:
        """The error expected of that many texts, a fraction."""
        return min(1.0, self.scale * size**-self.power)

    def gain(self, size: float) -> float:
        """What twice as many texts take off the error, a fraction; below 0 if they add to it."""
        return self.error(size) - self.error(2 * size)

    def worth(self, least: float, limit: float) -> float:
        """The number of texts from which on a doubling brings less than `least`, at most `limit`."""
        if self.power <= 0:
            return self.largest
        # scale · n^-power · (1 - 2^-power) = least
        size = (self.scale * (1 - 2**-self.power) / least) ** (1 / self.power)
        return min(max(size, self.largest), limit)
