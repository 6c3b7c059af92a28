"""Calibration, and what an exported student says of itself."""

import dataclasses

import numpy as np
import pytest
from huggingface_hub import ModelCard
from scipy.special import softmax

from potstill.evaluate.scores import scores
from potstill.export import calibrate
from potstill.export.card import card
from potstill.export.facts import collect
from potstill.runtime.model import Student
from potstill.student.distil import distil
from test_student import settings, soft_labels


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 4)) * 3
    labels = (softmax(logits / true, axis=1).cumsum(1) > rng.random((20000, 1))).argmax(1)
    assert calibrate.temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_a_student_that_is_always_right_gets_no_colder_than_the_bound():
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert calibrate.temperature(logits, np.array([0, 1, 2, 0])) == pytest.approx(calibrate.LOWEST, rel=0.05)
    assert calibrate.temperature(logits, np.array([1, 2, 0, 1])) == pytest.approx(calibrate.HIGHEST, rel=0.05)


@pytest.fixture(scope="module")
def trained(data):
    params = settings(architecture="bigru", words=60, embedding=3, hidden=6, bits=3, fingerprint=None)
    return distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params), params


@pytest.fixture(scope="module")
def exported(trained, data):
    made, params = trained
    facts = collect(made.student, None, data, {"prepared": "0" * 64}, {"minilm": 0.95}, params)
    return dataclasses.replace(made.student, facts=facts)


def test_a_file_says_where_it_comes_from_and_how_good_it_is(exported, data, tmp_path):
    exported.save(tmp_path / "a.pot")
    facts = Student.load(tmp_path / "a.pot").facts
    assert facts["rows"] == {"train": 240, "validation": 60, "test": 60, "unlabelled": 100}
    expected = scores(data.test["label"], exported.predict_proba(data.test["text"]))
    assert facts["metrics"]["test"] == expected
    assert facts["sha256"] == {"prepared": "0" * 64}
    assert facts["params"]["hidden"] == 6


def test_the_card_is_one_that_the_hub_understands(exported):
    found = ModelCard(card(exported, 1234, 5678))
    assert found.data.pipeline_tag == "text-classification"
    [accuracy] = [result for result in found.data.eval_results if result.metric_type == "accuracy"]
    assert accuracy.metric_value == exported.facts["metrics"]["test"]["accuracy"]
    assert "1,234 bytes" in found.text
    assert "minilm (95.00% on the same texts)" in found.text


def test_weights_before_rounding_are_kept(trained):
    made, _ = trained
    assert made.unrounded.keys() == made.student.weights.keys()
    steps = made.student.steps
    for name, weight in made.student.weights.items():
        inside = abs(made.unrounded[name] - weight) <= 0.51 * steps[name]
        clipped = abs(weight) >= abs(weight).max()
        assert (inside | clipped).all()


def test_without_rounding_there_is_nothing_to_keep(data):
    params = settings(bits=None)
    made = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert made.unrounded == {}
