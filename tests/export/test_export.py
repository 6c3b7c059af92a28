"""Calibration, the facts in a model file, and the model card."""

import dataclasses
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from scipy.special import softmax

from potstill.evaluate.metrics.scores import scores
from potstill.export import calibrate
from potstill.export.card import card
from potstill.export.facts import collect
from potstill.runtime.model import Student
from potstill.student.distil import distil
from tests.markup import RENDERER
from tests.settings import soft_labels
from tests.settings import student_settings as settings

SOURCES = {"train": 240, "unlabelled": 100, "replace": 300, "generated": 200}


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


@pytest.fixture(scope="module")
def trained(data):
    params = settings(
        architecture="bigru", vocab_size=60, embedding_dim=3, hidden=6, weight_bits=3, fingerprint_bits=None
    )
    return distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params), params


@pytest.fixture(scope="module")
def exported(trained, data):
    made, params = trained
    facts = collect(made.student, None, data, SOURCES, {"prepared": "0" * 64}, {"minilm": 0.95, "table": None}, params)
    return dataclasses.replace(made.student, facts=facts)


def test_a_file_holds_its_provenance_and_scores(exported, data, tmp_path):
    exported.save(tmp_path / "a.pot")
    facts = Student.load(tmp_path / "a.pot").facts
    assert facts["rows"] == {"train": 240, "validation": 60, "test": 60, "unlabelled": 100}
    expected = scores(data.test["label"], exported.predict_proba(data.test["text"]))
    assert facts["metrics"]["test"] == expected
    assert facts["sha256"] == {"prepared": "0" * 64}
    assert facts["params"]["hidden"] == 6
    assert facts["teachers"] == {"minilm": 0.95}
    assert facts["untested_teachers"] == ["table"]


def test_a_file_counts_the_texts_that_the_student_was_trained_on(trained, data):
    made, params = trained
    facts = collect(made.student, None, data, {"unlabelled": 200, "replace": 9}, {}, {}, params)
    assert facts["rows"] == {"train": 0, "validation": 60, "test": 60, "unlabelled": 200}


def test_the_hub_can_read_the_card(exported):
    found = ModelCard(card(exported, SOURCES, 1234, 5678))
    assert found.data.pipeline_tag == "text-classification"
    [accuracy] = [result for result in found.data.eval_results if result.metric_type == "accuracy"]
    assert accuracy.metric_value == exported.facts["metrics"]["test"]["accuracy"]
    assert "1,234 bytes" in found.text
    assert "minilm (test accuracy 95.00%) and table (without predictions for some test texts)." in found.text


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (SOURCES, "240 labelled and 100 unlabelled texts, 300 variants of them, and 200 samples of an n-gram model"),
        ({"train": 1500}, "1,500 labelled texts"),
        ({"unlabelled": 8000, "replace": 2000}, "8,000 unlabelled texts, and 2,000 variants of them"),
        ({"generated": 9}, "9 samples of an n-gram model"),
        ({"borrow": 1, "drop": 2, "splice": 3}, "6 variants of its texts"),
        ({"train": 5, "generated": 9}, "5 labelled texts, and 9 samples of an n-gram model"),
    ],
)
def test_the_card_describes_the_training_data(exported, sources, says):
    assert f"| training data | {says} |" in card(exported, sources, 1, 1)


def test_the_card_shows_labels_as_they_are_and_not_all_of_many(exported):
    names = ["@a closes #1", "<b>`x`|[y](https://z)", *(f"class {i}" for i in range(998))]
    facts = exported.facts | {"teachers": {"<i>": 0.5}}
    text = card(dataclasses.replace(exported, labels=names, facts=facts), SOURCES, 1, 1)
    html = RENDERER.render(ModelCard(text).text)
    assert (
        "It assigns each text one of 1,000 classes: <code>@a closes #1</code>, <code>&lt;b&gt;`x`</code>|<code>[y]("
        in html
    )
    assert "<code>class 47</code> and 950 others" in html
    assert "from <code>&lt;i&gt;</code> (test accuracy 50.00%)" in html


def read_card(text):
    """Return the scores in the metadata of a card, and the rows of its table by heading."""
    found = ModelCard(text)
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", found.text, re.M))
    return {result.metric_type: result.metric_value for result in found.data.eval_results}, rows


def check_card(text, student, metrics, sources):
    """Compare every number of a card with the student and with its scores by the stage `evaluate`."""
    values, rows = read_card(text)
    multi_label = student.thresholds is not None
    right, second = ("exact match", "micro-F1") if multi_label else ("accuracy", "Matthews correlation")
    found = [metrics[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
    number = student.facts["rows"]["test"]
    assert rows[right] == "{:.2%} (95% CI {:.2%} to {:.2%}), {:,} test texts".format(*found, number)
    other = metrics["micro_f1" if multi_label else "matthews"]
    assert rows[f"macro-F1, {second}"] == f"{metrics['macro_f1']:.4f}, {other:.4f}"
    assert rows["calibration"].endswith(f"expected calibration error {metrics['calibration_error']:.4f}")
    assert f"temperature {student.temperature:g}," in rows["calibration"]
    shape, words = student.shape.architecture, len(student.vocabulary.entries)
    assert rows["network"] == f"{shape}, {student.parameters:,} parameters, vocabulary of {words:,} words"
    counts = [int(count.replace(",", "")) for count in re.findall(r"[\d,]*\d", rows["training data"])]
    real, samples = [sources.get(name, 0) for name in ("train", "unlabelled")], sources.get("generated", 0)
    assert counts == [n for n in (*real, sum(sources.values()) - sum(real) - samples, samples) if n]
    expected = {"accuracy": metrics["accuracy"], "f1": metrics["macro_f1"]}
    assert values == expected | ({} if multi_label else {"matthews_correlation": metrics["matthews"]})


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
