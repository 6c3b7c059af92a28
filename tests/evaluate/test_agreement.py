"""The verdict on a student of texts that nobody has labelled."""

import numpy as np
import pytest

from potstill.evaluate.agreement import UNKNOWN, judge

STUDENT = {"parameters": 2574, "bytes": 2900}


def decide(same, texts=1000, accuracies=None, teacher=None):
    teacher = np.arange(texts) % 4 if teacher is None else teacher
    predicted = np.where(np.arange(texts) < same, teacher, teacher + 1)
    return judge(STUDENT, predicted, teacher, 0.05, accuracies)


@pytest.mark.parametrize(
    ("same", "decision", "bounds"),
    [
        (980, "ship", "It predicts its teacher's label for 98.0% of 1,000 test texts (95% CI 96.9 to 98.7%; 95%"),
        (955, "cannot tell yet", "95.5% of 1,000 test texts (95% CI 94.0 to 96.6%; 95% required)"),
        (945, "cannot tell yet", "94.5% of 1,000 test texts"),
        (900, "do not ship", "90.0% of 1,000 test texts (95% CI 88.0 to 91.7%"),
    ],
)
def test_the_whole_interval_of_the_agreement_decides(same, decision, bounds):
    answer = decide(same)
    assert answer.decision == decision
    assert bounds in answer.details
    assert UNKNOWN in answer.details
    assert "2,574 parameters and 2,900 bytes" in answer.summary
    assert answer.promising == (same >= 950)
    assert bool(answer.texts_needed) == (decision == "cannot tell yet")
    if answer.texts_needed:
        assert answer.texts_needed > 1000
        assert ("that it agrees enough" in answer.details) == answer.promising


def test_accuracies_are_reported_where_they_are_known_and_decide_nothing():
    rows = ({"accuracy": share, "accuracy_low": share - 0.02, "accuracy_high": share + 0.02} for share in (0.5, 0.52))
    answer = decide(980, accuracies=tuple(rows))
    assert answer.decision == "ship"
    assert "its accuracy is 50.0% (95% CI 48.0 to 52.0%), its teacher's 52.0%" in answer.details
    assert UNKNOWN not in answer.details


def test_a_class_that_is_nearly_always_predicted_is_named():
    teacher = (np.arange(1000) >= 970).astype(int)
    assert "predicts most often agrees for 97.0%" in decide(975, teacher=teacher).details
    assert "most often" not in decide(975).details
