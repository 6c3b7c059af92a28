"""Activations are rounded to 8 bits; outlier channels do not cost the others their precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from potstill.runtime.transformer.file import MIN_SPREAD
from potstill.runtime.transformer.shape import Shape, readers
from potstill.runtime.transformer.weights import Matrix
from potstill.student import activations
from potstill.student.encoder import Encoder

SHAPE = Shape(50, 9, 8, 8, 16, 2, 2, "gelu", "tanh", 1e-12)


pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Encoder(SHAPE, 3, 0.0)


def batches(count=4, texts=32):
    """Texts of 9 tokens, the last of which is padding in half of them."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50, (count, texts, 9), generator=generator)
    mask = torch.ones((texts, 9), dtype=torch.bool)
    mask[::2, -1] = False
    return [(batch, mask) for batch in ids]


def record(network, name, place=None):
    """The values of an input of the layers' products, without padding, or those of a place in the texts."""
    seen = []
    layer = network.get_submodule(readers(name)[-1])
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    with torch.inference_mode():
        for ids, mask in batches():
            network.eval()(ids, mask)
    hook.remove()
    _, mask = batches()[0]
    if place is not None:
        return np.concatenate([one[:, place].numpy() for one in seen])
    return np.concatenate([(one[mask] if one.shape[1] == 9 else one.flatten(0, 1)).numpy() for one in seen])


@pytest.mark.parametrize("embedding", [8, 6])
def test_each_input_has_factors_and_a_range_that_its_values_fill(embedding):
    torch.manual_seed(0)
    network = Encoder(replace(SHAPE, embedding=embedding), 3, 0.0)
    factors, ranges = activations.calibrate(network, batches(), 0)
    assert list(factors) == list(ranges) == network.shape.inputs()
    for name, found in factors.items():
        assert (found >= 1).all()
        np.testing.assert_array_equal(found, found.astype(np.float16))
        low, high = ranges[name]
        values = record(network, name) / found
        assert min(0, values.min()) == pytest.approx(low, abs=1e-6)
        assert max(0, values.max()) == pytest.approx(high, abs=1e-6)


def test_an_outlier_is_divided_and_the_other_channels_are_not(network):
    with torch.no_grad():
        network.layers[0].attention_norm.weight[3] = 60
    factors, ranges = activations.calibrate(network, batches(), 0)
    assert factors["layers.0.up"].argmax() == 3
    assert factors["layers.0.up"][3] >= 2
    assert (np.delete(factors["layers.0.up"], 3) == 1).all()
    assert max(np.abs(ranges["layers.0.up"])) < 100


def test_tokens_of_all_places_are_measured(network):
    found = activations._measure(network, batches(), np.random.default_rng(0))["layers.0.query"]
    rows = np.concatenate(found.rows)
    assert len(rows) == 4 * activations._ROWS
    first = record(network, "layers.0.query", place=0)
    assert 0 < np.isin(rows[:, 0], first[:, 0]).mean() < 0.5
    assert all(values.base is None for values in found.rows)  # not a view, which would keep its batch


def test_smoothing_lowers_the_error_of_products():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(400, 32)).astype(np.float32), rng.normal(size=(16, 32)).astype(np.float32)
    rows[:, 5] *= 40
    values = activations._Values(rows.min(0), rows.max(0), [rows])

    def error(factors, ends):
        quantized = activations._quantize(rows / factors, *ends) @ Matrix.round(weights * factors).floats().T
        return np.square(quantized - rows @ weights.T).mean()

    plain = error(np.ones(32, np.float32), (float(rows.min()), float(rows.max())))
    assert error(*activations._smooth(values, weights)) < plain / 2


def test_values_that_are_all_zero_have_no_factors():
    zeros = activations._Values(np.zeros(4, np.float32), np.zeros(4, np.float32), [np.zeros((3, 4), np.float32)])
    factors, (low, high) = activations._smooth(zeros, np.ones((2, 4), np.float32))
    assert factors.tolist() == [1, 1, 1, 1]
    assert (low, high) == (0, MIN_SPREAD)
