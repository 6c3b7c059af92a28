"""The predictions of all models for a split, and damaged files of them."""

import numpy as np

from potstill.evaluate.predictions import Predictions


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
