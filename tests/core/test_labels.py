"""Labels by decision thresholds, and which are right."""

import numpy as np

from potstill.core.labels import accuracy, is_correct, label_names, predict_labels


def test_a_prediction_is_right_if_all_labels_are():
    found = np.array([[0.9, 0.2], [0.4, 0.6], [0.1, 0.1]])
    chosen = predict_labels(found, [0.3, 0.5])
    assert chosen.tolist() == [[True, False], [True, True], [False, False]]
    known = np.array([[1, 0], [0, 1], [0, 0]], bool)
    assert is_correct(chosen, known).tolist() == [True, False, True]
    assert accuracy(found, known, threshold=0.5) == 1
    assert label_names(chosen, ["a", "b"]) == ["a", "a|b", ""]
