"""The decision whether the student should ship, with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reason:
    """A reason for a verdict.

    Attributes:
        holds: whether the student meets this requirement; None for a remark that decides nothing.
        text: the reason with its numbers, a sentence without its full stop.
    """

    holds: bool | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """The decision whether the student should ship.

    Attributes:
        ship: whether the student meets all requirements.
        summary: accuracy and size of the student.
        reasons: the requirements, then remarks.
    """

    ship: bool
    summary: str
    reasons: tuple[Reason, ...]

    @property
    def decision(self) -> str:
        """`Ship` or `Do not ship`."""
        return "Ship" if self.ship else "Do not ship"

    @property
    def details(self) -> str:
        """The summary and all reasons, as sentences of which the first continues `decision`."""
        return " ".join(f"{text}." for text in (self.summary, *(reason.text for reason in self.reasons)))


def judge(
    student: Mapping[str, Any],
    versus_teacher: Mapping[str, Any] | None,
    versus_baseline: Mapping[str, Any],
    margin: float,
    majority: float,
    teacher_versus_baseline: Mapping[str, Any] | None = None,
    versus_hard: Mapping[str, Any] | None = None,
) -> Verdict:
    """Decide whether a student should ship.

    It should if its accuracy is non-inferior to its teacher's (the 95% interval of the difference lies above `-margin`;
    with a small test split the interval is wide, and the student does not ship) and significantly higher than that of
    TF-IDF with logistic regression, which is simpler to ship. Remarks do not change the decision.

    Args:
        student: a row with `accuracy`, `accuracy_low` and `macro_f1` (fractions), `parameters` and `bytes`; with
            `micro_f1` if the task is multi-label.
        versus_teacher: the result of `scores.mcnemar` for student and teacher; None if the teacher has no predictions.
        versus_baseline: the same for student and TF-IDF with logistic regression.
        margin: the non-inferiority margin, a fraction.
        majority: the accuracy of always predicting the most frequent class. If the student is not significantly better,
            a remark says so.
        teacher_versus_baseline: as `versus_baseline`, for the teacher. If neither is significantly better, a remark
            says so.
        versus_hard: as `versus_baseline`, for the student and the network trained on hard labels. If the latter is
            significantly better, a remark says so.
    """
    multi_label = "micro_f1" in student
    better = versus_baseline["difference_low"] > 0
    reasons = [
        _non_inferiority(versus_teacher, margin),
        Reason(
            better,
            f"It is {'' if better else 'not '}significantly better than TF-IDF with logistic regression "
            f"({_interval(versus_baseline)})",
        ),
    ]
    remarks = []
    if not better and teacher_versus_baseline and teacher_versus_baseline["difference_low"] <= 0:
        remarks.append(
            f"Neither is its teacher ({_interval(teacher_versus_baseline)}), so there is little to distil: fine-tune "
            "the teacher for more epochs (`teacher.epochs`), or use another"
        )
    if versus_hard and versus_hard["difference_high"] < 0:
        remarks.append(
            f"The network of `baseline`, trained on hard labels, is significantly better (student minus network: "
            f"{_interval(versus_hard)})"
        )
    if student["accuracy_low"] <= majority:
        remarks.append(
            f"Always predicting the most frequent {'set of labels' if multi_label else 'class'} has an accuracy of "
            f"{100 * majority:.1f}%, so judge the student by its macro-F1, {100 * student['macro_f1']:.1f}%"
        )
    score = "an exact match" if multi_label else "a test accuracy"
    summary = (
        f"the student has {score} of {100 * student['accuracy']:.1f}%, "
        f"{student['parameters']:,} parameters and {student['bytes']:,} bytes"
    )
    ship = all(reason.holds for reason in reasons)
    return Verdict(ship, summary, (*reasons, *(Reason(None, remark) for remark in remarks)))


def _non_inferiority(versus_teacher: Mapping[str, Any] | None, margin: float) -> Reason:
    if versus_teacher is None:
        return Reason(False, "It cannot be compared with its teacher, which has no predictions for the test split")
    low = versus_teacher["difference_low"]
    less = f"may be up to {-100 * low:.1f} points" if low < 0 else "is not"
    allowed = f"{100 * margin:g} point{'s' * (margin != 0.01)}"
    return Reason(
        low >= -margin,
        f"It {less} less accurate than its teacher ({_interval(versus_teacher)}; {allowed} allowed)",
    )


def _interval(test: Mapping[str, Any]) -> str:
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"95% CI {low} to {high} points"
