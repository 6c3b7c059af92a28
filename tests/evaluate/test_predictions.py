"""The predictions of all models for a split, and damaged files of them."""

import numpy as np
import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.evaluate.predictions import Predictions
from tests.damage import AGAIN, spoil


def test_predictions_are_kept_with_labels_and_thresholds(mixed, tmp_path):
    known = mixed.targets("test")
    given = {"student": known * 0.5 + 0.2, "minilm": np.full((80, 3), np.nan)}
    made = Predictions(mixed.test["text"].tolist(), known, given, {"student": [0.3, 0.6, 0.8], "minilm": [0.5] * 3})
    made.save(tmp_path / "a.parquet")
    found = Predictions.load(tmp_path / "a.parquet")
    np.testing.assert_array_equal(found.labels, known)
    assert found.thresholds == made.thresholds
    np.testing.assert_array_equal(found.correct("student"), ~known[:, 2])
    np.testing.assert_allclose(found.confidence("student")[~known.any(1)], 0.8**3, rtol=1e-6)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "test.parquet"
    Predictions(["x"] * 50, np.zeros(50, int), {"student": np.ones((50, 2))}).save(path)
    spoil(path)
    with pytest.raises(PotstillError, match=f"{path}: it cannot be read .*{AGAIN}"):
        Predictions.load(path)
    pd.DataFrame({"text": ["x"], "label": [0]}).to_parquet(path)
    with pytest.raises(PotstillError, match=f"{path}: it cannot be read .it has no probabilities"):
        Predictions.load(path)


def test_predictions_may_be_missing(tmp_path):
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan]], np.float32)
    Predictions(["x", "y"], np.array([0, 1]), {"student": probabilities}).save(tmp_path / "test.parquet")
    np.testing.assert_array_equal(Predictions.load(tmp_path / "test.parquet").probabilities["student"], probabilities)
