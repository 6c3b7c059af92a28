"""Texts of the test split on the page."""

import numpy as np

from potstill.evaluate.predictions import Predictions
from potstill.report.texts import differences, examples
from tests.report.inputs import make

NAMES = np.array(["no", "yes"])


def split():
    """Return five texts: student and teacher agree on the first two; of the others each is right once, neither once."""
    labels = np.array([0, 1, 1, 0, 0])
    student = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9], [0.55, 0.45]])
    teacher = np.array([[0.8, 0.2], [0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.05, 0.95]])
    return Predictions(["a", "b", "c", "d", "e"], labels, {"student": student, "big": teacher})


def names(labels):
    return NAMES[labels].tolist()


def test_differences_are_counted_and_those_of_which_both_are_sure_come_first():
    found = differences(split(), "student", "big", names, 2)
    counts = {key: found[key] for key in ("texts", "student", "teacher", "neither")}
    assert counts == {"texts": 3, "student": 2, "teacher": 1, "neither": 0}
    assert [row["text"] for row in found["rows"]] == ["d", "c"]
    assert found["rows"][0] == {
        "text": "d", "label": "no", "student": "yes", "student_confidence": 0.9, "student_correct": False,
        "teacher": "no", "teacher_confidence": 0.8, "teacher_correct": True,
    }  # fmt: skip
    assert differences(split(), "student", None, names, 2) == {"texts": 0, "rows": []}


def test_examples_are_of_different_labels_and_short():
    found = examples(make().test, make().label_names, 3)
    assert len({row["label"] for row in found}) == 3
    assert len(examples(make().test, make().label_names, 2)) == 2
    long = Predictions(["a" * 500, "b"], np.array([0, 1]), {})
    assert examples(long, names, 5) == [{"text": "b", "label": "yes"}]
