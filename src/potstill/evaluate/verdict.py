"""Whether the student is good enough to ship, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """An answer and its reasons.

    Attributes:
        ship: whether all that is asked of a student holds.
        sentence: the answer with its numbers, for people.
        reasons: what is asked of a student: whether it holds, and in what numbers; with None, what to know besides.
    """

    ship: bool
    sentence: str
    reasons: tuple[tuple[bool | None, str], ...]


def judge(
    student: Mapping[str, Any],
    against_teacher: Mapping[str, Any] | None,
    against_baseline: Mapping[str, Any],
    max_loss: float,
    majority: float,
    teacher_against_baseline: Mapping[str, Any] | None = None,
    against_hard: Mapping[str, Any] | None = None,
) -> Verdict:
    """Say whether a student should ship.

    It should if it is non-inferior to its teacher: the 95% interval of the difference of their accuracies lies above
    -`max_loss` (so a small test split, which proves nothing, ships nothing). And if it is better than TF-IDF and
    logistic regression by more than noise, because otherwise that is the simpler thing to ship.

    Args:
        student: a row with `accuracy`, `accuracy_low` and `macro_f1` (fractions), `parameters` and `bytes`; one with
            `micro_f1` is of a task whose texts may have several labels.
        against_teacher: what `scores.mcnemar` gives for student and teacher; None if the teacher has no answers.
        against_baseline: the same for student and TF-IDF with logistic regression.
        max_loss: how much accuracy may be lost, as a fraction.
        majority: the accuracy of always answering what is right most often. Where a student is not surely better, the
            sentence says so: its accuracy then says nothing.
        teacher_against_baseline: as `against_baseline`, for its teacher: if neither is better, the sentence says so.
        against_hard: as `against_baseline`, for student and the network on hard labels alone: if that is surely better,
            the sentence says so.
    """
    allowed = f"{100 * max_loss:g} point{'s' * (max_loss != 0.01)}"
    several = "micro_f1" in student
    reasons: list[tuple[bool | None, str]] = []
    if against_teacher is None:
        good = False
        reasons.append((False, "the teacher has no answers for the test split, so nobody knows what is lost"))
    else:
        low = against_teacher["difference_low"]
        good = low >= -max_loss
        lost = (
            f"it may lose up to {-100 * low:.1f} points against its teacher"
            if low < 0
            else "it loses nothing against its teacher"
        )
        reasons.append((good, f"{lost} (95% interval {_span(against_teacher)}; {allowed} allowed)"))
    better = against_baseline["difference_low"] > 0
    gain = "beats" if better else "is not surely better than"
    reasons.append((better, f"it {gain} TF-IDF with logistic regression ({_span(against_baseline)})"))
    if not better and teacher_against_baseline and teacher_against_baseline["difference_low"] <= 0:
        advice = (
            f"nor is its teacher ({_span(teacher_against_baseline)}), so there is little to distil: fine-tune it "
            "longer (`teacher.epochs`), or take another"
        )
        reasons.append((None, advice))
    if against_hard and against_hard["difference_high"] < 0:
        told = f"the network of `baseline` is better on hard labels alone (the student: {_span(against_hard)})"
        reasons.append((None, told))
    if student["accuracy_low"] <= majority:
        usual = "labels" if several else "class"
        advice = (
            f"always answering the most frequent {usual} is right on {100 * majority:.1f}%, so go by its macro-F1, "
            f"{100 * student['macro_f1']:.1f}%, and not by its accuracy"
        )
        reasons.append((None, advice))
    ship = good and better
    does = "gets all labels right" if several else "is right"
    head = (
        f"{'Ship' if ship else 'Do not ship'}: the student {does} on {100 * student['accuracy']:.1f}% of the test "
        f"split with {student['parameters']:,} parameters in {student['bytes']:,} bytes"
    )
    return Verdict(ship, f"{head}; {'; '.join(reason for _, reason in reasons)}.", tuple(reasons))


def _span(test: Mapping[str, Any]) -> str:
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{low} to {high} points"
