"""Rounding the weights of small Transformers."""

import numpy as np

from potstill.runtime.transformer.weights import LEVELS, Matrix


def test_weights_are_rounded_row_by_row():
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(50, 40)) * np.geomspace(1e-4, 10, 50)[:, None]).astype(np.float32)
    rounded = Matrix.round(weights)
    assert np.abs(rounded.values).max() <= LEVELS
    assert (np.abs(rounded.floats() - weights) <= rounded.steps[:, None] * 0.501).all()
    np.testing.assert_array_equal(rounded.steps, rounded.steps.astype(np.float16))


def test_a_row_of_zeros_stays_zero():
    rounded = Matrix.round(np.zeros((2, 3), np.float32))
    assert (rounded.steps > 0).all()
    assert not rounded.floats().any()
