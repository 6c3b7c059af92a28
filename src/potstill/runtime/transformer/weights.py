"""The weights of a small Transformer: int8 matrices and float vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from potstill.runtime.file import TABLE
from potstill.runtime.transformer.shape import readers

# A row's largest weight is this many steps: 7 bits, so that processors without instructions for int8 products do not
# saturate, and 6 in the embedding table, which takes half of a file.
LEVELS, EMBEDDING_LEVELS = 63, 31
BITS = EMBEDDING_LEVELS.bit_length() + 1, LEVELS.bit_length() + 1  # of the embedding table, and of other matrices
SMALLEST_STEP = 2.0**-24  # the least half-precision float above 0


@dataclass(frozen=True, eq=False, repr=False)
class Matrix:
    """A matrix of int8 numbers with a step for each row.

    Attributes:
        values: int8 (rows, columns).
        steps: float32 (rows,), half-precision floats above 0; a row's weights are `values` times its step.
    """

    values: np.ndarray
    steps: np.ndarray

    @classmethod
    def round(cls, weights: np.ndarray, levels: int = LEVELS) -> Self:
        """Round float weights, symmetrically and row by row; each row's largest becomes `levels` or less."""
        steps = np.abs(weights).max(1).astype(np.float32) / levels
        # Rounded up to half precision, so that no weight is clipped.
        halves = steps.astype(np.float16)
        halves = np.where(halves < steps, np.nextafter(halves, np.float16(np.inf)), halves)
        steps = np.maximum(halves.astype(np.float32), np.float32(SMALLEST_STEP))
        return cls(np.rint(weights / steps[:, None]).astype(np.int8), steps)

    def floats(self) -> np.ndarray:
        """Return the weights, float32 (rows, columns)."""
        return self.values * self.steps[:, None]

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.values.size


def steps_of(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return the step of values that are rounded to 8 bits, and the number that stands for 0, given their range."""
    step = np.float32((high - low) / 255)
    return step, np.uint8(round(-low / float(step)))


@dataclass(frozen=True, eq=False, repr=False)
class Weights:
    """The weights of a network, named as in its state dict, and the ranges of its quantized activations.

    Attributes:
        matrices: by name.
        vectors: float32, by name.
        ranges: the least and the largest value of each of `Shape.inputs`; 0 lies between them.
    """

    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, np.ndarray]
    ranges: Mapping[str, tuple[float, float]]

    @classmethod
    def round(cls, weights: Mapping[str, np.ndarray], ranges: Mapping[str, tuple[float, float]]) -> Self:
        """Round float weights, after multiplying those that read smoothed values by their factors."""
        weights = dict(weights)
        for name in ranges:
            if (factors := weights.get(f"{name}.smoothing")) is not None:
                weights |= {f"{layer}.weight": weights[f"{layer}.weight"] * factors for layer in readers(name)}
        matrices = {
            name: Matrix.round(array, EMBEDDING_LEVELS if name == TABLE else LEVELS)
            for name, array in weights.items()
            if array.ndim == 2
        }
        # Vectors are stored in half precision.
        vectors = {
            name: array.astype(np.float16).astype(np.float32) for name, array in weights.items() if array.ndim == 1
        }
        return cls(matrices, vectors, ranges)

    @property
    def size(self) -> int:
        """How many numbers, without the smoothing factors, which are not trained."""
        vectors = sum(vector.size for name, vector in self.vectors.items() if not name.endswith(".smoothing"))
        return vectors + sum(matrix.size for matrix in self.matrices.values())
