import numpy as np
import pytest
import torch

from potstill.student.distil import distil
from potstill.student.quantization import LearnedStepQuantizer
from tests.settings import soft_labels, student_settings


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantized_weights_are_multiples_of_steps_and_accurate(bits, data):
    params = student_settings(architecture="bigru", weight_bits=bits)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    student = trained.student
    assert trained.best["validation_accuracy"] > 0.9
    assert student.bits == (bits, min(8, bits + 2))
    for name, weight in student.weights.items():
        whole = weight / student.steps[name]
        np.testing.assert_allclose(whole, whole.round(), atol=1e-3)
        most = 2 ** (student.bits[name != "embedding.weight"] - 1) - 1
        assert abs(whole).max() <= most + 1e-3


def test_initial_steps_minimize_the_rounding_error():
    network = torch.nn.Linear(50, 20)
    quantizer = LearnedStepQuantizer(network, 6)
    quantizer.init_steps()
    errors = [(quantizer()[name] - weight).abs().max() for name, weight in network.named_parameters()]
    largest = max(step.item() for step in quantizer.steps().values())
    assert max(errors) <= largest / 2 + 1e-6
    assert largest < 0.01  # weights lie within 0.142, in 31 steps each way


def test_gradients_pass_through_the_rounding_to_weights_and_steps():
    network = torch.nn.Linear(3, 2)
    quantizer = LearnedStepQuantizer(network, 4)
    quantizer.init_steps()
    quantizer()["weight"].sum().backward()
    assert (network.weight.grad == 1).sum() >= 5  # the largest weight may be cut off
    assert quantizer.log_steps[0].grad != 0
