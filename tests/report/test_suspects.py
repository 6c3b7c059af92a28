"""Label errors."""

import numpy as np
import pytest

from potstill.report.suspects import find_label_errors
from tests.report.inputs import LABELS, predictions_of


def test_swapped_labels_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    given = truth.copy()
    swapped = rng.permutation(600)[:30]
    given[swapped] = (truth[swapped] + 1) % 3
    found = find_label_errors(given, predictions_of(truth, 1.0, 1), LABELS)
    assert {error.text for error in found[:30]} == set(swapped)
    assert all(error.suggested == LABELS[truth[error.text]] for error in found[:30])
    assert len(found) / len(given) == pytest.approx(0.05, abs=0.01)


def test_correct_labels_are_no_errors_and_missing_predictions_are_left_out():
    labels = np.array([0, 1, 2, 0])
    probabilities = np.eye(3)[labels] * 0.9 + 0.03
    probabilities[3] = np.nan
    assert not find_label_errors(labels, probabilities, LABELS)
    assert not find_label_errors(labels[:0], probabilities[:0], LABELS)


def test_a_class_without_texts_is_never_suggested():
    assert not find_label_errors(np.array([0, 0]), np.array([[0.1, 0.9], [0.9, 0.1]]), LABELS[:2])
