"""What stages measured, read by other stages: a damaged value is one line that names the file and the key."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from potstill.core import tracking
from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import measures

MODEL = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1, "macro_f1": 0.9, "calibration_error": 0.1,
         "bytes": 9, "parameters": 5, "kind": "student", "agreement": None, "other": "x"}  # fmt: skip
MODELS = dict.fromkeys(("student", "tfidf", "hard"), MODEL)
TRIAL = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0, "texts": 5, "validation_accuracy": 0.5}
COST = {"seconds": 1.5, "core_seconds": 2, "peak_megabytes": 3.0}
RIGHT = [
    (measures.Scores, MODELS),
    (measures.Scores, MODELS | {"table": MODEL | {"parameters": None, "kind": "teacher"}}),
    (measures.Ablation, {}),
    (measures.Ablation, {"vocabulary": {"frequent": TRIAL}, "hard": {"0.3": TRIAL}, "pool": {"1": TRIAL}}),
    (measures.Resources, COST),
    (measures.Shares, {"test": 0, "train": 0.5}),
    (list[measures.Reason], [{"holds": None, "text": "x"}, {"holds": True, "text": "y"}]),
    (measures.Timings, {"a": {"texts_per_second": 5.0, "milliseconds_per_text": 0.0, "batch": 60}}),
]
WRONG = [
    (measures.Shares, {"test": [None]}, "facts.test"),
    (measures.Shares, {"test": 1.5}, "facts.test"),
    (measures.Shares, {"test": True}, "facts.test"),
    (measures.Shares, {"test": math.nan}, "facts.test"),
    (measures.Shares, [], "facts"),
    (measures.Resources, COST | {"seconds": "x"}, "facts.seconds"),
    (measures.Resources, COST | {"seconds": "1.5"}, "facts.seconds"),
    (measures.Resources, COST | {"seconds": math.inf}, "facts.seconds"),
    (measures.Resources, {"seconds": 1.5}, "facts.core_seconds"),
    (measures.Ablation, {"pool": {"1": TRIAL | {"accuracy_low": {}}}}, "facts.pool.1.accuracy_low"),
    (measures.Ablation, {"pool": {"1": TRIAL | {"texts": 0}}}, "facts.pool.1.texts"),
    (measures.Ablation, {"hard": {"0.3": {}}}, "facts.hard.0.3.accuracy"),
    (measures.Ablation, {"vocabulary": {}}, "facts.vocabulary.frequent"),
    (measures.Scores, MODELS | {"student": MODEL | {"parameters": {"a": None}}}, "facts.student.parameters"),
    (measures.Scores, MODELS | {"student": MODEL | {"parameters": None}}, "facts"),
    (measures.Scores, {"student": MODEL}, "facts"),
    (list[measures.Reason], [{"holds": "x", "text": "y"}], "facts.0.holds"),
    (measures.Timings, {"a": {"texts_per_second": 0, "milliseconds_per_text": 1}}, "facts.a.texts_per_second"),
]


@pytest.mark.parametrize(("kind", "value"), RIGHT)
def test_what_is_right_is_read_as_it_is(kind, value, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"facts": value}))
    found = measures.read(kind, tmp_path / "metrics.json", "facts")
    assert json.loads(json.dumps(found)) == value


@pytest.mark.parametrize(("kind", "value", "key"), WRONG)
def test_what_is_wrong_is_named(kind, value, key, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"facts": value}))
    with pytest.raises(PotstillError) as caught:
        measures.read(kind, tmp_path / "metrics.json", "facts")
    assert str(caught.value).startswith(f"{tmp_path / 'metrics.json'}: it cannot be read (`{key}")
    assert "\n" not in str(caught.value)


def test_a_training_that_is_stopped_leaves_the_record_of_the_one_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(losses):
        with tracking.curves(Path("metrics")) as log:
            for epoch, loss in enumerate(losses, 1):
                log({"epoch": epoch, **dict.fromkeys(tracking.CURVES, loss)})
                if loss < 0:
                    raise KeyboardInterrupt

    train([0.5, 0.25])
    tracking.write_metrics(Path("metrics"), "student", {"bytes": 1})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == len(tracking.CURVES) + 1
    assert tracking.read_curves(Path("metrics"))["loss"].tolist() == [0.5, 0.25]
    with pytest.raises(KeyboardInterrupt):
        train([0.75, -1.0])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_curve_is_whole_and_finite(tmp_path):
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    right = {name: f"step\t{name}\n1\t0.5\n2\t0.25\n" for name in tracking.CURVES}
    for spoiled in ["", "{}\t0.5", "{0}\t", "{0}\tinf", "{0}\tx", "{0}\tnan", "3\t0.25"]:
        for name, text in right.items():
            (folder / f"{name}.tsv").write_text(text)
        assert tracking.read_curves(tmp_path).columns.tolist() == ["epoch", *tracking.CURVES]
        rows = "" if not spoiled else f"1\t0.5\n{spoiled.format(2)}\n" if spoiled != "{}\t0.5" else "2\t0.5\n"
        (folder / "validation_accuracy.tsv").write_text(f"step\tvalidation_accuracy\n{rows}")
        with pytest.raises(PotstillError, match=r"validation_accuracy\.tsv: it cannot be read"):
            tracking.read_curves(tmp_path)


def test_a_loss_that_diverged_is_a_gap_and_an_empty_cell_is_damage(tmp_path):
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    for name in tracking.CURVES:
        (folder / f"{name}.tsv").write_text(f"step\t{name}\n1\t{0.5 if name.endswith('accuracy') else 'nan'}\n")
    assert tracking.read_curves(tmp_path)["loss"].isna().all()
    (folder / "loss.tsv").write_text("step\tloss\n1\t\n")
    with pytest.raises(PotstillError, match=r"loss\.tsv: it cannot be read"):
        tracking.read_curves(tmp_path)


def test_answers_are_whole_or_missing(tmp_path):
    path, labels = tmp_path / "test.csv", ["a", "b"]
    logits = np.array([[1.5, -2.0], [np.nan, np.nan], [-1.0, 0.5]])
    tracking.write_predictions(path, logits, np.array([0, 1, 1]), labels)
    np.testing.assert_array_equal(tracking.read_predictions(path, labels, 3), logits)
    with pytest.raises(PotstillError, match="row 2 lacks a number"):
        tracking.read_predictions(path, labels, 3, complete=True)
    with pytest.raises(PotstillError, match=r"test\.csv: it cannot be read \(3 predictions for 4 texts\)"):
        tracking.read_predictions(path, labels, 4)
    for cell in (None, np.inf, "x"):
        table = pd.read_csv(path)
        table["logit b"] = [-2.0, None, cell]
        table.to_csv(path, index=False)
        with pytest.raises(PotstillError, match=r"test\.csv: it cannot be read"):
            tracking.read_predictions(path, labels, 3)
