"""Calibration, the facts in a model file, and the model card."""

from potstill.student.distil import distil
from tests.settings import soft_labels
from tests.settings import student_settings as settings


def test_unquantized_weights_are_kept(trained):
    made, _ = trained
    assert made.unrounded.keys() == made.student.weights.keys()
    steps = made.student.steps
    for name, weight in made.student.weights.items():
        inside = abs(made.unrounded[name] - weight) <= 0.51 * steps[name]
        clipped = abs(weight) >= abs(weight).max()
        assert (inside | clipped).all()


def test_without_quantization_there_are_no_other_weights(data):
    params = settings(weight_bits=None)
    made = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert made.unrounded == {}
