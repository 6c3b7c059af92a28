"""A cascade: the student predicts first, and the teacher predicts the texts of which the student is not confident."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.core import paths
from potstill.core.labels import is_answered
from potstill.evaluate.metrics.scores import interval
from potstill.runtime.model import FILE

THRESHOLDS = np.round(np.arange(0, 1.0001, 0.01), 2)


@dataclass(frozen=True)
class Point:
    """A threshold, the share of test texts that are sent to the teacher, and the accuracy of the cascade."""

    threshold: float
    fallback_share: float
    accuracy: float


@dataclass(frozen=True)
class Cascade:
    """The accuracy of a cascade.

    Attributes:
        needed: whether the student is less accurate than its teacher on validation.
        threshold: the lowest one that reaches the teacher's accuracy on validation; None if none does, or if the
            cascade is not needed.
        fallback_share: the share of test texts that are sent to the teacher with it (0 without a threshold).
        accuracy, low, high: accuracy of the cascade on the test split, with its 95% interval.
        teacher: accuracy of the teacher on the test split.
        curve: a point per threshold, on the test split.
    """

    needed: bool
    threshold: float | None
    fallback_share: float
    accuracy: float
    low: float
    high: float
    teacher: float
    curve: list[Point]


def fallback(teachers: Sequence[str], models: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the teacher for `potstill predict --fallback`; None if it is a table of probabilities, or an ensemble.

    Args:
        teachers: the names of the teachers that label.
        models: by name, a row with `parameters`.
    """
    return teachers[0] if len(teachers) == 1 and models.get(teachers[0], {}).get("parameters") else None


def command(threshold: float, teacher: str) -> str:
    """Return the command that classifies a file with the cascade."""
    student, folder = paths.EXPORT / FILE, paths.TEACHER / teacher
    return f"potstill predict {student} texts.txt --threshold {threshold:g} --fallback {shlex.quote(str(folder))}"


def cascade(validation: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...]) -> Cascade | None:
    """Choose the threshold on validation, and measure the cascade on test.

    A text is sent to the teacher if the student's highest probability is below the threshold, as by `potstill predict
    --threshold --fallback`.

    Args:
        validation: true ids (texts,), and the probabilities of student and teacher, both (texts, classes). Texts
            without predictions of the teacher (NaN) are left out.
        test: the same of the test split.

    Returns:
        The cascade; None if the teacher has no predictions for validation.
    """
    labels, student, teacher = _complete(*validation)
    if not len(labels):
        return None
    goal = int((teacher.argmax(1) == labels).sum())
    correct = [int(_correct(labels, student, teacher, threshold).sum()) for threshold in THRESHOLDS]
    needed = correct[0] < goal
    reached = [float(threshold) for threshold, count in zip(THRESHOLDS, correct, strict=True) if count >= goal]
    threshold = reached[0] if needed and reached else None

    labels, student, teacher = _complete(*test)
    curve = []
    for value in THRESHOLDS:
        accuracy = float(_correct(labels, student, teacher, value).mean())
        curve.append(Point(float(value), float((student.max(1) < value).mean()), accuracy))
    chosen = next(point for point in curve if point.threshold == (threshold or 0))
    low, high = interval(int(_correct(labels, student, teacher, threshold or 0).sum()), len(labels))
    of_teacher = float((teacher.argmax(1) == labels).mean())
    return Cascade(needed, threshold, chosen.fallback_share, chosen.accuracy, low, high, of_teacher, curve)


def _complete(labels: np.ndarray, student: np.ndarray, teacher: np.ndarray) -> tuple[np.ndarray, ...]:
    finite = is_answered(teacher)
    return labels[finite], student[finite], teacher[finite]


def _correct(labels: np.ndarray, student: np.ndarray, teacher: np.ndarray, threshold: float) -> np.ndarray:
    """Return whether the cascade predicts each text correctly, booleans (texts,)."""
    return np.where(student.max(1) < threshold, teacher.argmax(1), student.argmax(1)) == labels
