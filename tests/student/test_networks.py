import pytest

from potstill.runtime.networks import Shape
from potstill.student import networks
from tests.settings import student_settings


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        # The article's: 5000·16 + 16·6 + 6.
        ({"architecture": "mlp", "vocab_size": 5000, "hidden": 16}, 80_102),
        ({"architecture": "attention", "vocab_size": 600, "hidden": 4}, 2_451),
        ({"architecture": "cnn", "vocab_size": 1500, "embedding_dim": 6, "hidden": 24}, 9_606),
        ({"architecture": "bigru", "vocab_size": 900, "embedding_dim": 4, "hidden": 8}, 4_374),
    ],
)
def test_networks_have_the_expected_number_of_parameters(changes, parameters):
    params = student_settings(**changes)
    network = networks.build(params, params.vocab_size, 6)
    assert sum(p.numel() for p in network.parameters()) == parameters
    shapes = Shape(params.architecture, params.embedding_dim, params.hidden).weights(params.vocab_size, 6)
    assert shapes == {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
