"""Activations are rounded to 8 bits; outlier channels do not cost the others their precision."""

import numpy as np
import pytest
import torch

from potstill.runtime.transformer.shape import Shape
from potstill.student import activations
from potstill.student.encoder import Encoder

SHAPE = Shape(50, 9, 8, 8, 16, 2, 2, "gelu", "tanh", 1e-12)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Encoder(SHAPE, 3, 0.0)


def batches():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50, (4, 8, 9), generator=generator)
    return [(batch, torch.ones_like(batch, dtype=torch.bool)) for batch in ids]


def test_each_input_has_factors_and_a_range_that_holds_its_values(network):
    factors, ranges = activations.calibrate(network, batches())
    assert list(factors) == list(ranges) == SHAPE.inputs()
    for name, values in factors.items():
        assert values.shape == (SHAPE.feed_forward if name.endswith("down") else SHAPE.hidden,)
        assert (values >= 1).all()
        np.testing.assert_array_equal(values, values.astype(np.float16))
        low, high = ranges[name]
        assert low <= 0 <= high


def test_an_outlier_is_divided_and_the_other_channels_are_not(network):
    with torch.no_grad():
        network.layers[0].attention_norm.weight[3] = 60
    factors, ranges = activations.calibrate(network, batches())
    assert factors["layers.0.up"].argmax() == 3
    assert factors["layers.0.up"][3] >= 2
    assert (np.delete(factors["layers.0.up"], 3) == 1).all()
    assert max(np.abs(ranges["layers.0.up"])) < 100


def test_values_that_are_all_zero_have_no_factors():
    zeros = activations._Values(*np.zeros((2, 4), np.float32), [np.zeros((3, 4), np.float32)])
    factors, ends = activations._smooth(zeros, np.ones((2, 4), np.float32))
    assert factors.tolist() == [1, 1, 1, 1]
    assert ends == (0, 0)
