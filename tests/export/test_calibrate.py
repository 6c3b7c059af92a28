"""The temperature of the student's logits."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from potstill.export import calibrate


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_labels_is_found(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 4)) * 3
    labels = (softmax(logits / true, axis=1).cumsum(1) > rng.random((20000, 1))).argmax(1)
    assert calibrate.temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_the_temperature_is_bounded():
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert calibrate.temperature(logits, np.array([0, 1, 2, 0])) == pytest.approx(calibrate.LOWEST, rel=0.05)
    assert calibrate.temperature(logits, np.array([1, 2, 0, 1])) == pytest.approx(calibrate.HIGHEST, rel=0.05)


def test_the_temperature_of_multi_label_data_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(8000, 4)) * 3
    known = rng.random(logits.shape) < expit(logits / 2)
    assert calibrate.temperature(logits, known) == pytest.approx(2, rel=0.05)
