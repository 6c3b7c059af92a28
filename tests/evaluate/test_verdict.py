"""The verdict: whether the student ships."""

import pytest

from potstill.evaluate.verdict import judge


def paired(low, high):
    return {"difference": (low + high) / 2, "difference_low": low, "difference_high": high}


STUDENT = {"accuracy": 0.929, "accuracy_low": 0.917, "macro_f1": 0.88, "parameters": 2574, "bytes": 2900}


@pytest.mark.parametrize(
    ("teacher", "baseline", "ship", "says"),
    [
        (paired(-0.008, 0.01), paired(0.05, 0.08), True, "up to 0.8 points less accurate"),
        (paired(0.001, 0.01), paired(0.05, 0.08), True, "is not less accurate"),
        (
            paired(-0.012, 0.01),
            paired(0.05, 0.08),
            False,
            "up to 1.2 points less accurate",
        ),  # a wide interval
        (paired(-0.008, 0.01), paired(-0.001, 0.08), False, "It is not significantly better than TF-IDF"),
        (None, paired(0.05, 0.08), False, "no predictions"),
    ],
)
def test_a_student_ships_if_it_is_non_inferior_and_better_than_tfidf(teacher, baseline, ship, says):
    answer = judge(STUDENT, teacher, baseline, 0.01, 0.35)
    assert answer.ship is ship
    assert answer.decision == ("Ship" if ship else "Do not ship")
    assert says in answer.details
    assert "2,574 parameters and 2,900 bytes" in answer.details


def test_the_margin_is_a_parameter():
    assert judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.02, 0.35).ship
    assert "2 points allowed" in judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.02, 0.35).details
    assert (
        "(95% CI −1.5 to +0.0 points; 1 point allowed)"
        in judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.01, 0.35).details
    )


def test_a_teacher_that_is_no_better_than_tfidf_is_named():
    says = "Neither is its teacher (95% CI −2.0 to +1.0 points), so there is little to distil"
    of = {"student": STUDENT, "versus_teacher": paired(-0.03, 0), "margin": 0.01, "majority": 0.35}
    verdict = judge(**of, versus_baseline=paired(-0.01, 0.01), teacher_versus_baseline=paired(-0.02, 0.01))
    assert says in verdict.details
    verdict = judge(**of, versus_baseline=paired(-0.01, 0.01), teacher_versus_baseline=paired(0.02, 0.03))
    assert "Neither is its teacher" not in verdict.details
    verdict = judge(**of, versus_baseline=paired(0.01, 0.02), teacher_versus_baseline=paired(-0.02, 0.01))
    assert "Neither is its teacher" not in verdict.details


def test_a_better_network_on_hard_labels_is_named():
    of = (STUDENT, paired(-0.005, 0), paired(0.1, 0.2), 0.01, 0.35)
    verdict = judge(*of, versus_hard=paired(-0.03, -0.01))
    assert (
        "trained on hard labels, is significantly better (student minus network: 95% CI −3.0 to −1.0 points)"
        in verdict.details
    )
    assert verdict.ship
    assert "hard labels" not in judge(*of, versus_hard=paired(-0.03, 0.01)).details


def test_an_accuracy_no_better_than_the_majority_class_is_named():
    says = "predicting the most frequent class has an accuracy of 92.0%, so judge the student by its macro-F1, 88.0%"
    assert says in judge(STUDENT, paired(0, 0.1), paired(0.1, 0.2), 0.01, 0.92).details
    assert "most frequent" not in judge(STUDENT, paired(0, 0.1), paired(0.1, 0.2), 0.01, 0.91).details
