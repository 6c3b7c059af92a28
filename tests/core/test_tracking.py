"""Predictions and training curves that stages write and read."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from potstill.core import tracking
from potstill.core.errors import PotstillError


def test_predictions_are_written_with_the_names_of_the_labels(tmp_path):
    logits = np.array([[1.5, -2.0], [0.25, 3.0], [-1.0, -1.0]])
    tracking.write_predictions(tmp_path / "test.csv", logits, np.array([[1, 0], [1, 1], [0, 0]], bool), ["a", "b"])
    np.testing.assert_allclose(tracking.read_predictions(tmp_path / "test.csv", ["a", "b"], len(logits)), logits)
    rows = list(csv.DictReader((tmp_path / "test.csv").open()))
    assert [(row["actual"], row["predicted"]) for row in rows] == [("a", "a"), ("a|b", "a|b"), ("", "")]


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


def test_predictions_are_whole_or_missing(tmp_path):
    path, labels = tmp_path / "test.csv", ["a", "b"]
    logits = np.array([[1.5, -2.0], [np.nan, np.nan], [-1.0, 0.5]])
    tracking.write_predictions(path, logits, np.array([0, 1, 1]), labels)
    np.testing.assert_array_equal(tracking.read_predictions(path, labels, 3), logits)
    with pytest.raises(PotstillError, match="row 2 has a missing number"):
        tracking.read_predictions(path, labels, 3, complete=True)
    with pytest.raises(PotstillError, match=r"test\.csv: it cannot be read \(3 predictions for 4 texts\)"):
        tracking.read_predictions(path, labels, 4)
    for cell in (None, np.inf, "x"):
        table = pd.read_csv(path)
        table["logit b"] = [-2.0, None, cell]
        table.to_csv(path, index=False)
        with pytest.raises(PotstillError, match=r"test\.csv: it cannot be read"):
            tracking.read_predictions(path, labels, 3)
