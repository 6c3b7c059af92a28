import numpy as np
import pytest

from potstill.advise.decide import decide
from potstill.advise.measure import CANDIDATES, measure
from potstill.advise.report import markdown
from potstill.baseline.params import BaselineParams
from potstill.student.params import StudentParams
from tests.settings import quick
from tests.tasks import FEELINGS


class Oracle:
    """A teacher that needs no training: it finds the words that determine the label."""

    def __init__(self):
        self.fitted = []

    def fit(self, train, validation):
        self.fitted.append(len(train))

    def logits(self, texts):
        return np.array([[4.0 * any(w in t for w in words) for words in FEELINGS.values()] for t in texts])


def test_everything_is_measured_on_the_same_texts(data, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)
    lines, oracle = [], Oracle()
    measured = measure(data, 100, quick(BaselineParams), quick(StudentParams), oracle, lines.append)
    assert oracle.fitted == [50, 100]
    assert measured["rows"] == {
        "train": 240, "unlabelled": 100, "sample": 100, "selection": 33, "validation": 60, "transfer": 200,
    }  # fmt: skip
    assert not measured["train_as_unlabelled"]
    assert measured["word_order"]["wos"] == 0  # it looks at words alone
    distilled = [m for m in measured["models"] if m["training"] == "distilled"]
    assert [(m["name"], m["texts"]) for m in distilled] == [
        *(("bag", size) for size in (50, 100, 200)),
        *(("bigru", size) for size in (50, 100, 200)),
        ("large bigru", 200),
    ]
    assert all("agreement" in m for m in distilled)
    assert len(lines) == len(measured["models"])
    assert len(measured["paired"]) == 4 + 2 * len(CANDIDATES) + 4
    assert len(decide(measured | {"teacher": "oracle", "non_inferiority_margin": 0.01})) == 6


@pytest.mark.slow
def test_models_on_hard_labels_use_the_class_weight(data, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)
    losses = []
    for class_weight in (None, "balanced"):
        baseline = quick(BaselineParams).model_copy(update={"class_weight": class_weight})
        measured = measure(data, 100, baseline, quick(StudentParams), Oracle())
        hard = [m for m in measured["models"] if m["training"] == "hard" and m["name"] != "teacher"]
        losses.append([m["log_loss"] for m in hard])
    assert all(plain != balanced for plain, balanced in zip(*losses, strict=True))


def test_the_advice_is_for_multi_label(mixed, monkeypatch):
    monkeypatch.setattr("potstill.advise.measure.MIN_STEPS", 4)

    class Teacher:
        def fit(self, train, validation):
            pass

        def logits(self, texts):
            return np.array([[8.0 * any(w in t for w in words) - 4 for words in FEELINGS.values()] for t in texts])

    measured = measure(mixed, 100, quick(BaselineParams), quick(StudentParams), Teacher())
    of = {(model["name"], model["training"]): model for model in measured["models"]}
    assert of["teacher", "hard"]["accuracy"] == 1
    assert all("micro_f1" in model and "matthews" not in model for model in measured["models"])
    assert "agreement" in of["bigru", "distilled"]
    said = decide(measured | {"teacher": "oracle", "non_inferiority_margin": 0.01})
    assert "micro-F1 × 100" in markdown(measured | {"teacher": "oracle"}, said)
