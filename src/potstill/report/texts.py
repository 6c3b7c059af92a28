"""Texts of the test split for the page: examples for the live demo, and where student and teacher differ."""

from collections.abc import Callable
from typing import Any

import numpy as np

from potstill.core.labels import is_correct
from potstill.core.markdown import LONGEST
from potstill.evaluate.predictions import Predictions

SEED = 0
Names = Callable[[np.ndarray], list[str]]


def examples(test: Predictions, names: Names, number: int) -> list[dict[str, str]]:
    """Return test texts to try the student on, drawn at random, each of another label.

    Args:
        test: the test split.
        names: returns the names of the labels of texts.
        number: how many to return at most.

    Returns:
        Rows of `text` and `label`. Texts that are too long for a button are left out.
    """
    labels = names(test.labels)
    drawn: dict[str, str] = {}
    for i in np.random.default_rng(SEED).permutation(len(labels)).tolist():
        if len(drawn) == number:
            break
        if len(test.texts[i]) <= LONGEST:
            drawn.setdefault(labels[i], test.texts[i])
    return [{"text": text, "label": label} for label, text in sorted(drawn.items())]


def differences(test: Predictions, student: str, teacher: str | None, names: Names, number: int) -> dict[str, Any]:
    """Return the test texts for which student and teacher predict different labels.

    Args:
        test: the test split.
        student: the name of the student.
        teacher: the name of the teacher, or None if it has no predictions.
        names: returns the names of the labels of texts.
        number: how many texts to return.

    Returns:
        `texts`, how many differ; `student`, `teacher` and `neither`, how many of them which model classifies correctly;
        and `rows`, those of which both are most confident.
    """
    if teacher is None:
        return {"texts": 0, "rows": []}
    predicted = {name: test.predicted(name) for name in (student, teacher)}
    differ = np.flatnonzero(~is_correct(predicted[student], predicted[teacher]) & test.answered(teacher))
    correct = {name: test.correct(name)[differ] for name in predicted}
    confidences = {name: test.confidence(name)[differ] for name in predicted}
    order = np.argsort(-np.minimum(confidences[student], confidences[teacher]), kind="stable")[:number]
    shown = differ[order]
    labels = [names(values[shown]) for values in (test.labels, predicted[student], predicted[teacher])]
    rows = []
    for place, i, label, of_student, of_teacher in zip(order.tolist(), shown.tolist(), *labels, strict=True):
        rows.append(
            {
                "text": test.texts[i],
                "label": label,
                "student": of_student,
                "student_confidence": float(confidences[student][place]),
                "student_correct": bool(correct[student][place]),
                "teacher": of_teacher,
                "teacher_confidence": float(confidences[teacher][place]),
                "teacher_correct": bool(correct[teacher][place]),
            }
        )
    right = {"student": int(correct[student].sum()), "teacher": int(correct[teacher].sum())}
    return {"texts": len(differ), **right, "neither": len(differ) - sum(right.values()), "rows": rows}
