"""Rounding the weights of small Transformers."""

import dataclasses

import numpy as np

from potstill.runtime.transformer.weights import LEVELS, Matrix, Weights
from tests.transformers import SHAPE


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


def test_weights_of_all_layers_that_read_a_smoothed_value_are_multiplied():
    shape = dataclasses.replace(SHAPE, embedding=4, smoothed=True)
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=size).astype(np.float32) for name, size in shape.weights(3).items()}
    weights |= {name: 1 + abs(array) for name, array in weights.items() if name.endswith(".smoothing")}
    made = Weights.round(weights, dict.fromkeys(shape.inputs(), (-4.0, 4.0)))
    parts = ("query", "key", "value", "output", "up", "down")
    layers = [(f"layers.{i}.{part}", f"layers.{i}.{part}") for i in range(shape.layers) for part in parts]
    layers = [(name, by.replace("key", "query").replace("value", "query")) for name, by in layers]
    for name, by in [("projection", "projection"), *layers]:
        matrix, factors = made.matrices[f"{name}.weight"], weights[f"{by}.smoothing"]
        assert (abs(matrix.floats() - weights[f"{name}.weight"] * factors) <= matrix.steps[:, None] * 0.501).all()
    head = made.matrices["head.weight"]
    assert (abs(head.floats() - weights["head.weight"]) <= head.steps[:, None] * 0.501).all()
    plain = {name: size for name, size in shape.weights(3).items() if not name.endswith(".smoothing")}
    assert made.size == sum(int(np.prod(size)) for size in plain.values())
