"""The decision whether the student should ship, with its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from potstill.evaluate.metrics.measures import Decision
from potstill.evaluate.metrics.power import MOST, texts_needed


@dataclass(frozen=True)
class Reason:
    """A reason for a verdict.

    Attributes:
        status: whether the student meets this requirement; `remark` for what decides nothing.
        text: the reason with its numbers, a sentence without its full stop.
    """

    status: Literal["met", "not met", "undecided", "remark"]
    text: str


@dataclass(frozen=True)
class Verdict:
    """The decision whether the student should ship.

    Attributes:
        decision: `ship` if the student meets all requirements, `do not ship` if it certainly misses one, else `cannot
            tell yet`.
        texts_needed: the number of test texts that would decide, if it cannot tell and they are at most `power.MOST`;
            else None.
        promising: whether the observed differences point to `ship`; for `cannot tell yet`.
        summary: accuracy and size of the student.
        reasons: the requirements, then remarks.
    """

    decision: Decision
    texts_needed: int | None
    promising: bool
    summary: str
    reasons: tuple[Reason, ...]

    @property
    def details(self) -> str:
        """The summary and all reasons, as sentences of which the first continues the decision."""
        return " ".join(f"{text}." for text in (self.summary, *(reason.text for reason in self.reasons)))

    def __str__(self) -> str:
        lines = (f"- {reason.status}: {reason.text}." for reason in self.reasons)
        return "\n".join([f"{self.decision.capitalize()}: {self.summary}.", *lines])


def judge(
    student: Mapping[str, Any],
    baseline: Mapping[str, Any],
    versus_teacher: Mapping[str, Any] | None,
    versus_baseline: Mapping[str, Any],
    *,
    texts: int,
    margin: float,
    majority: float,
    teacher_versus_baseline: Mapping[str, Any] | None = None,
    versus_hard: Mapping[str, Any] | None = None,
    pooled: tuple[Mapping[str, Any], int] | None = None,
) -> Verdict:
    """Decide whether a student should ship.

    There are two requirements. Each is met, missed for certain, or undecided with so few test texts:

    - The student is non-inferior to its teacher: the 95% interval of the difference in accuracy lies above `-margin`.
      It misses this if a loss is shown: the whole interval lies below 0, and not above `-margin`.
    - It is significantly more accurate than TF-IDF with logistic regression, which is simpler to ship. It misses this
      if it is significantly less accurate; or if nothing is gained by it: TF-IDF is non-inferior to the student by the
      same margin, and its file is not larger. If TF-IDF is non-inferior but larger, the requirement stays undecided and
      the reason says so, because whether the size matters is not for this function to know.

    Remarks do not change the decision.

    Args:
        student: a row with `accuracy`, `accuracy_low`, `accuracy_high` and `macro_f1` (fractions), `parameters` and
            `bytes`; with `micro_f1` if the task is multi-label.
        baseline: the `bytes` of TF-IDF with logistic regression.
        versus_teacher: the result of `scores.mcnemar` for student and teacher; None if the teacher has no predictions.
        versus_baseline: the same for student and TF-IDF with logistic regression.
        texts: the number of test texts.
        margin: the non-inferiority margin, a fraction.
        majority: the accuracy of always predicting the most frequent class. If the student is not significantly better,
            a remark says so.
        teacher_versus_baseline: as `versus_baseline`, for the teacher. If neither is significantly better, a remark
            says so.
        versus_hard: as `versus_baseline`, for the student and the network trained on hard labels. If the latter is
            significantly better, a remark says so.
        pooled: as `versus_teacher`, for the validation and test texts together, and their number. A remark names it if
            the interval on test is so wide that it would not decide even between equals.
    """
    multi_label = "micro_f1" in student
    reasons = [
        _non_inferiority(versus_teacher, margin),
        _advantage(versus_baseline, margin, baseline["bytes"], student["bytes"]),
    ]
    statuses = {reason.status for reason in reasons}
    decision: Decision = "cannot tell yet"
    needed, promising = None, False
    remarks = _versus_majority(student, majority)
    if "not met" in statuses:
        decision = "do not ship"
    elif statuses == {"met"}:
        decision = "ship"
    elif versus_teacher:
        gain = margin if baseline["bytes"] <= student["bytes"] else 0.0
        comparisons = (versus_teacher, -margin, 0.0), (versus_baseline, 0.0, gain)
        outlooks = [
            _outlook(texts, *comparison)
            for reason, comparison in zip(reasons, comparisons, strict=True)
            if reason.status == "undecided"
        ]
        needed, promising = _combine(outlooks)
        shown = "should ship" if promising else "should not ship"
        number = f"About {needed:,}" if needed else f"More than {MOST:,}"
        remarks.append(
            f"{number} test texts would show, at the observed differences and with 80% power, that it {shown} "
            f"(found: {texts:,})"
        )
        wide = versus_teacher["difference_high"] - versus_teacher["difference_low"] > 2 * margin
        if pooled and wide and reasons[0].status == "undecided":
            remarks.append(
                f"On the {pooled[1]:,} validation and test texts together, the difference to its teacher has a "
                f"{_interval(pooled[0])}; validation also chose the student, so this is optimistic"
            )
    if reasons[1].status != "met" and teacher_versus_baseline and teacher_versus_baseline["difference_low"] <= 0:
        remarks.append(
            f"Its teacher is not significantly better than TF-IDF either ({_interval(teacher_versus_baseline)}), so "
            "there is little to distil"
        )
    if versus_hard and versus_hard["difference_high"] < 0:
        remarks.append(
            f"The network of `baseline`, trained on hard labels, is significantly better (student minus network: "
            f"{_interval(versus_hard)})"
        )
    score = "an exact match" if multi_label else "a test accuracy"
    summary = (
        f"the student has {score} of {100 * student['accuracy']:.1f}%, "
        f"{student['parameters']:,} parameters and {student['bytes']:,} bytes"
    )
    return Verdict(decision, needed, promising, summary, (*reasons, *(Reason("remark", text) for text in remarks)))


def _versus_majority(student: Mapping[str, Any], majority: float) -> list[str]:
    """Return a remark if the student is not significantly better than the most frequent class alone."""
    constant = f"always predicting the most frequent {'set of labels' if 'micro_f1' in student else 'class'}"
    share, macro_f1 = f"{100 * majority:.1f}%", f"its macro-F1, {100 * student['macro_f1']:.1f}%"
    if student["accuracy_high"] < majority:
        return [
            f"It is significantly less accurate than {constant} ({share}): use it only if {macro_f1}, is what counts"
        ]
    if student["accuracy_low"] <= majority:
        return [f"{constant[0].upper()}{constant[1:]} has an accuracy of {share}, so judge the student by {macro_f1}"]
    return []


def _non_inferiority(versus_teacher: Mapping[str, Any] | None, margin: float) -> Reason:
    if versus_teacher is None:
        return Reason(
            "undecided", "It cannot be compared with its teacher, which has no predictions for the test split"
        )
    low, high = versus_teacher["difference_low"], versus_teacher["difference_high"]
    allowed = f"{100 * margin:g} point{'s' * (margin != 0.01)}"
    numbers = f"({_interval(versus_teacher)}; {allowed} allowed)"
    if low < -margin and high < 0:
        return Reason("not met", f"It is significantly less accurate than its teacher {numbers}")
    less = f"may be up to {-100 * low:.1f} points" if low < 0 else "is not"
    return Reason("met" if low >= -margin else "undecided", f"It {less} less accurate than its teacher {numbers}")


def _advantage(versus_baseline: Mapping[str, Any], margin: float, baseline_bytes: int, student_bytes: int) -> Reason:
    name, numbers = "TF-IDF with logistic regression", f"({_interval(versus_baseline)})"
    low, high = versus_baseline["difference_low"], versus_baseline["difference_high"]
    if low > 0:
        return Reason("met", f"It is significantly better than {name} {numbers}")
    if high < 0:
        return Reason("not met", f"It is significantly less accurate than {name} {numbers}")
    same = f"It is not significantly better than {name} {numbers}"
    if high > margin:
        return Reason("undecided", same)
    if baseline_bytes <= student_bytes:
        return Reason("not met", f"{same}, which would do: its file is not larger ({baseline_bytes:,} bytes)")
    return Reason(
        "undecided", f"{same}, which would do if the size of its file does not matter ({baseline_bytes:,} bytes)"
    )


def _outlook(texts: int, test: Mapping[str, Any], above: float, below: float) -> tuple[int | None, bool]:
    """Return the number of texts that would decide a requirement at the observed difference, and whether it is met.

    It is met once the interval lies above `above`, missed once it lies below `below`, which is not smaller. What the
    observed difference is farther from needs fewer texts.
    """
    middle = (test["difference_low"] + test["difference_high"]) / 2
    met = middle - above >= below - middle
    return texts_needed(test, texts, above if met else below), met


def _combine(outlooks: Sequence[tuple[int | None, bool]]) -> tuple[int | None, bool]:
    """Return the number of texts that decides, and whether to ship then, for which all requirements must be met."""
    missed = [texts for texts, met in outlooks if not met]
    if missed:
        return min((texts for texts in missed if texts), default=None), False
    needed = [texts for texts, _ in outlooks if texts]
    return max(needed) if len(needed) == len(outlooks) else None, True


def _interval(test: Mapping[str, Any]) -> str:
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"95% CI {low} to {high} points"
