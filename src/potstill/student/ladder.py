"""Find the smallest student that keeps its teacher's accuracy: train candidates in ascending order of size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from potstill.core.labels import accuracy, is_answered, is_correct, predict_labels_default
from potstill.data.sources import VARIANTS
from potstill.evaluate.metrics.scores import mcnemar
from potstill.student.training import binary_kl, kl

Status = Literal["chosen", "too inaccurate", "stopped early", "not needed", "unavailable"]

# The sets of sources that are compared, each larger than the one before: real texts, variants of them, and texts of an
# n-gram model.
SOURCE_SETS: tuple[tuple[str, ...], ...] = (("train", "unlabelled"), VARIANTS, ("generated",))
# A candidate is given up in the second half of its epochs if it is so far below what the ladder looks for.
HOPELESS = 0.05
# A candidate so many times smaller than the one that keeps its teacher's accuracy may lose more.
MUCH_SMALLER = 10


@dataclass(frozen=True)
class Row:
    """A candidate of the ladder; numbers are None if it was not trained.

    Attributes:
        rung: its name.
        architecture: see `params.yaml`.
        status: what became of it.
        parameters: the number of its parameters.
        bytes: the size of its model file.
        validation_accuracy: a fraction.
        difference, difference_low, difference_high: the accuracy of the student less that of its teacher on validation,
            with its 95% interval, see `mcnemar`; None without predictions of the teacher.
        note: a sentence on the status, or None.
    """

    rung: str
    architecture: str
    status: Status
    parameters: int | None = None
    bytes: int | None = None
    validation_accuracy: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    note: str | None = None


def source_sets(present: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sets of sources to compare, from the smallest; `present` are the sources that have texts."""
    sets: list[tuple[str, ...]] = []
    added: tuple[str, ...] = ()
    for sources in SOURCE_SETS:
        if new := tuple(source for source in sources if source in present):
            added += new
            sets.append(added)
    return sets


def divergence(logits: np.ndarray, teacher: np.ndarray, multi_label: bool) -> float | None:
    """Return the mean KL divergence in nats of a student's predictions from its teacher's; None without a text of both.

    It compares students with less noise than accuracy.

    Args:
        logits: the student's, (texts, classes).
        teacher: the teacher's for the same texts, with NaN where it has none.
        multi_label: whether the task is multi-label.
    """
    known = is_answered(teacher)
    if not known.any():
        return None
    student, soft = (torch.from_numpy(np.asarray(part[known], np.float32)) for part in (logits, teacher))
    return round(float((binary_kl if multi_label else kl)(student, soft)), 6)


def measure(row: Row, logits: np.ndarray, labels: np.ndarray, teacher: np.ndarray) -> Row:
    """Add the accuracy of a candidate to its row.

    Args:
        row: the row.
        logits: the candidate's logits for the validation texts, (texts, classes).
        labels: of these texts, see `Dataset.targets`.
        teacher: the teacher's logits for them, with NaN where it has none.
    """
    correct = is_correct(predict_labels_default(logits, labels), labels)
    row = replace(row, validation_accuracy=round(float(correct.mean()), 6))
    known = is_answered(teacher)
    if not known.any():
        return row
    right = is_correct(predict_labels_default(teacher[known], labels[known]), labels[known])
    versus = mcnemar(correct[known], right)
    return replace(row, **{key: versus[key] for key in ("difference", "difference_low", "difference_high")})


def teacher_accuracy(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the accuracy of logits, over the texts that have any; None if none has."""
    known = is_answered(logits)
    return accuracy(logits[known], labels[known]) if known.any() else None


def keeps(row: Row, tolerance: float) -> bool:
    """Return whether a candidate keeps its teacher's accuracy on validation, up to `tolerance`."""
    return row.difference is not None and row.difference >= -tolerance


def choose(rows: Sequence[Row], tolerance: float, most: float) -> str:
    """Return the name of the rung to take, given rows in ascending order of size.

    It is the first that keeps its teacher's accuracy, or one of at most a tenth of its size that loses at most `most`:
    a few validation texts, which may differ by chance, are no reason for a much larger file. If none keeps it, it is
    the smallest whose validation accuracy is at most `tolerance` below that of the best.
    """
    if found := next((row for row in rows if keeps(row, tolerance)), None):
        return next(row.rung for row in rows if row is found or (keeps(row, most) and _is_much_smaller(row, found)))
    complete = [row for row in rows if row.validation_accuracy is not None and row.status != "stopped early"]
    best = max(row.validation_accuracy or 0.0 for row in complete)
    return next(row.rung for row in complete if (row.validation_accuracy or 0.0) >= best - tolerance)


def _is_much_smaller(row: Row, other: Row) -> bool:
    return row.bytes is not None and other.bytes is not None and MUCH_SMALLER * row.bytes <= other.bytes


def table(
    rungs: Mapping[str, str],
    excluded: Mapping[str, tuple[Status, str]],
    trained: Sequence[Row],
    chosen: str,
    tolerance: float,
) -> list[Row]:
    """Return the rows of all rungs.

    Args:
        rungs: the architecture of each by its name, in ascending order of size.
        excluded: the status and the note of those that no training was to reach, by name.
        trained: the rows of those that were trained.
        chosen: the name of the one to take.
        tolerance: see `keeps`.
    """
    rows = {row.rung: row for row in trained}
    for row in trained:
        if row.rung == chosen:
            rows[row.rung] = replace(row, status="chosen")
        elif keeps(row, tolerance):
            rows[row.rung] = replace(row, status="not needed")
    for name, architecture in rungs.items():
        if name in excluded:
            status, note = excluded[name]
            rows[name] = Row(name, architecture, status, note=note)
        rows.setdefault(name, Row(name, architecture, "not needed"))
    return [rows[name] for name in rungs]


def describe(row: Row) -> str:
    """Return the result of a candidate as a line."""
    if row.status == "stopped early":
        return f"{row.rung}: given up at {row.validation_accuracy:.1%} on validation"
    versus = "" if row.difference is None else f", {100 * row.difference:+.1f} points from its teacher"
    return f"{row.rung}: {row.validation_accuracy:.1%} on validation{versus}, {row.bytes:,} bytes"
