"""Why a candidate became the student."""

import pytest

from potstill.report.ladder import describe
from tests.report.inputs import LADDER, rung


@pytest.mark.parametrize(
    ("ladder", "says"),
    [
        (
            LADDER,
            "`two` is the smallest candidate that keeps its teacher's accuracy on validation (student minus teacher: "
            "−0.5 points, 95% CI −1.0 to +0.0).",
        ),
        (
            [rung("a", "chosen", 1000, 0.9, -0.005), rung("b", "too inaccurate", 2000, 0.89, -0.015)],
            "No candidate keeps its teacher's accuracy on validation; `a` is the most accurate (student",
        ),
        (
            [
                rung("a", "chosen", 1000, 0.9, -0.008),
                rung("b", "too inaccurate", 2000, 0.89, -0.015),
                rung("c", "not needed", 200_000, 0.91, 0.0),
            ],
            "`a` was chosen although `c` loses less on validation, as it is 200 times smaller and what it loses is "
            "acceptable (student",
        ),
        (
            [rung("a", "too inaccurate", 1000, 0.8, -0.1), rung("b", "chosen", 2000, 0.85, -0.05)],
            "No candidate keeps its teacher's accuracy on validation; `b` is the most accurate (student",
        ),
        (
            [rung("a", "too inaccurate", 1000, 0.8), rung("b", "chosen", 2000, 0.85)],
            "`b` was chosen without its teacher, which has no predictions for validation.",
        ),
        ([rung("a", "chosen", 1000, 0.8, -0.1)], "The student was set by hand in the section `student`"),
    ],
)
def test_the_sentence_says_why_the_student_was_chosen(ladder, says):
    assert describe(ladder, 0.01)["sentence"].startswith(says)


def test_the_teachers_accuracy_follows_from_the_chosen_candidate():
    assert describe(LADDER, 0.01)["teacher"] == pytest.approx(0.93)
    assert describe([rung("a", "chosen", 1000, 0.8)], 0.01)["teacher"] is None


def test_a_transformer_is_noticed():
    assert describe(LADDER, 0.01)["transformer"]
    assert not describe(LADDER[:3], 0.01)["transformer"]
