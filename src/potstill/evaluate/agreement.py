"""The verdict where nobody has labelled the texts that a student learned from: whether it agrees with its teacher."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from potstill.core.class_weights import majority
from potstill.evaluate.metrics.measures import Decision, HeldOut
from potstill.evaluate.metrics.power import MOST, texts_needed
from potstill.evaluate.metrics.scores import interval, mcnemar
from potstill.evaluate.verdict import Reason, Verdict

UNKNOWN = "Nobody has labelled the test texts, so the accuracy of teacher and student is unknown"


def judge(
    student: Mapping[str, Any],
    predicted: np.ndarray,
    teacher: np.ndarray,
    max_disagreement: float,
    accuracies: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
) -> Verdict:
    """Decide whether a student should ship that learned from texts without labels.

    There is one requirement: that the whole 95% interval of its agreement with its teacher lies above 1 minus
    `max_disagreement`. It misses this if the whole interval lies below, and it is undecided otherwise.

    Args:
        student: a row with `parameters` and `bytes`.
        predicted: the labels that the student predicts for the test texts, ids (texts,).
        teacher: those that its teacher predicts.
        max_disagreement: a fraction.
        accuracies: the rows of student and teacher, see `scores`, if somebody has labelled the test texts. A remark
            names them; they do not change the decision.
    """
    same = predicted == teacher
    texts, least = len(same), 1 - max_disagreement
    low, high = interval(int(same.sum()), texts)
    bounds = f"{100 * low:.1f} to {100 * high:.1f}%"
    status: Any = "met" if low >= least else "not met" if high < least else "undecided"
    verdicts: dict[str, Decision] = {"met": "ship", "not met": "do not ship", "undecided": "cannot tell yet"}
    predicts = f"It predicts its teacher's label for {100 * same.mean():.1f}% of {texts:,} test texts"
    reasons = [Reason(status, f"{predicts} (95% CI {bounds}; {100 * least:g}% required)")]
    needed, promising = None, bool(same.mean() >= least)
    if status == "undecided":
        needed = texts_needed(mcnemar(same, np.ones_like(same)), texts, -max_disagreement)
        number = f"About {needed:,}" if needed else f"More than {MOST:,}"
        shown = "agrees enough" if promising else "does not"
        reasons.append(
            Reason(
                "remark",
                f"{number} test texts would show, at the observed agreement and with 80% power, that it {shown} "
                f"(found: {texts:,})",
            )
        )
    if accuracies is None:
        reasons.append(Reason("remark", UNKNOWN))
    else:
        of_student, of_teacher = (_accuracy(row) for row in accuracies)
        reasons.append(
            Reason(
                "remark", f"On the labels of the test texts its accuracy is {of_student}, its teacher's {of_teacher}"
            )
        )
    if low <= majority(teacher):
        reasons.append(
            Reason(
                "remark",
                f"Always predicting the class that the teacher predicts most often agrees for "
                f"{100 * majority(teacher):.1f}%",
            )
        )
    summary = (
        f"the student agrees with its teacher on {100 * same.mean():.1f}% of the test texts, and has "
        f"{student['parameters']:,} parameters and {student['bytes']:,} bytes"
    )
    return Verdict(verdicts[status], needed, promising, summary, tuple(reasons))


def held_out(found: HeldOut) -> str:
    """Return a sentence, without its full stop, on how faithful a student is to its teacher on held-out texts."""
    texts, same = found["texts"], found["agree"]
    low, high = (100 * end for end in interval(same, texts))
    other = ""
    if found["differs_in"]:
        other = f". They differ from the validation texts ({found['differs_in']}), so a guarantee is not based on them"
    return (
        f"The student predicts its teacher's label for {100 * same / texts:.1f}% of {texts:,} held-out unlabelled "
        f"texts, which it did not learn from (95% CI {low:.1f} to {high:.1f}%): how faithful it is, not how "
        f"accurate{other}"
    )


def _accuracy(row: Mapping[str, Any]) -> str:
    low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
    return f"{100 * row['accuracy']:.1f}% (95% CI {low:.1f} to {high:.1f}%)"
