"""Student first, teacher where the student is unsure."""

from dataclasses import dataclass

import numpy as np

from potstill.evaluate.scores import interval

THRESHOLDS = np.round(np.arange(0, 1.0001, 0.01), 2)  # such as one would type


@dataclass(frozen=True)
class Cascade:
    """What passing unsure texts on is worth.

    Attributes:
        needed: whether the student alone stays below its teacher on validation.
        threshold: the lowest one that reaches the teacher's accuracy on validation; None if there is none, or no need.
        share: of the test texts that are passed on with it (0 without a threshold).
        accuracy, low, high: of both together on the test split, with the 95% interval.
        teacher: the teacher's own.
        curve: per threshold the share that is passed on and the accuracy, on the test split.
    """

    needed: bool
    threshold: float | None
    share: float
    accuracy: float
    low: float
    high: float
    teacher: float
    curve: list[tuple[float, float, float]]


def cascade(validation: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...]) -> Cascade:
    """Choose the threshold on validation, and test it.

    A text is passed on if the student's highest probability is below the threshold, as `potstill predict --threshold
    --fallback` does.

    Args:
        validation: true ids (texts,), and the probabilities of student and teacher, both (texts, classes). Texts that
            the teacher has no answer for (NaN) are left out.
        test: the same of the test split.
    """
    labels, student, teacher = _covered(*validation)
    chosen = [_together(labels, student, teacher, threshold) for threshold in THRESHOLDS]
    goal = int((teacher.argmax(1) == labels).sum())
    needed = bool(len(labels)) and chosen[0][1].sum() < goal
    reached = [i for i, (_, right) in enumerate(chosen) if right.sum() >= goal]
    threshold = float(THRESHOLDS[reached[0]]) if needed and reached else None

    labels, student, teacher = _covered(*test)
    tried = [(t, *_together(labels, student, teacher, t)) for t in THRESHOLDS]
    curve = [(float(t), float(passed.mean()), float(right.mean())) for t, passed, right in tried]
    _, passed, right = next(row for row in tried if row[0] == (threshold or 0))
    low, high = interval(int(right.sum()), len(right))
    own = float((teacher.argmax(1) == labels).mean())
    return Cascade(needed, threshold, float(passed.mean()), float(right.mean()), low, high, own, curve)


def _covered(labels: np.ndarray, student: np.ndarray, teacher: np.ndarray) -> tuple[np.ndarray, ...]:
    there = np.isfinite(teacher).all(1)
    return labels[there], student[there], teacher[there]


def _together(
    labels: np.ndarray, student: np.ndarray, teacher: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    passed = student.max(1) < threshold
    return passed, np.where(passed, teacher.argmax(1), student.argmax(1)) == labels
