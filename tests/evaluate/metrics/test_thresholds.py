"""Decision thresholds."""

import numpy as np
import pytest

from potstill.evaluate.metrics.thresholds import fit_thresholds


def test_thresholds_have_the_best_f1():
    rng = np.random.default_rng(0)
    found = rng.random((500, 3)).astype(np.float32)
    known = rng.random((500, 3)) < found * [0.3, 0.8, 1]
    thresholds = fit_thresholds(found, known)
    assert thresholds == [float(np.float16(threshold)) for threshold in thresholds]
    for label, threshold in enumerate(thresholds):

        def f1(limit, label=label):
            chosen = found[:, label] >= limit
            return 2 * (chosen & known[:, label]).sum() / (chosen.sum() + known[:, label].sum())

        assert f1(threshold) >= max(f1(limit) for limit in np.linspace(0, 1, 200)) - 0.005


def test_a_threshold_parts_two_probabilities_and_equal_ones_stay_together():
    found = np.array([[0.8], [0.6], [0.6], [0.2]])
    assert fit_thresholds(found, np.array([[1], [1], [0], [0]], bool)) == [pytest.approx(0.4, abs=1e-3)]
    assert fit_thresholds(found, np.zeros((4, 1), bool)) == [0.5]
    assert fit_thresholds(np.append(found, [[np.nan]], 0), np.array([[1], [0], [0], [0], [1]], bool)) == [
        pytest.approx(0.7, abs=1e-3)
    ]
    assert fit_thresholds(np.full((2, 1), 1e-12), np.ones((2, 1), bool))[0] > 0
