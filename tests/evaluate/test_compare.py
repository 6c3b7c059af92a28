"""Models are compared by their predictions for the same texts."""

import numpy as np

from potstill.core.class_weights import majority
from potstill.evaluate import table
from potstill.evaluate.compare import Model, compare, pooled
from potstill.evaluate.metrics import scores
from potstill.evaluate.verdict import judge
from tests.evaluate.examples import FOUND, KNOWN


def test_models_are_compared_by_texts_that_are_right_in_all_labels():
    models = [
        Model("tfidf", "baseline", np.full((4, 2), 0.1), np.full((4, 2), 0.1), 1, 1, [0.5, 0.5]),
        Model("teacher", "teacher", KNOWN * 0.8 + 0.1, KNOWN * 0.8 + 0.1, 9, 9, [0.5, 0.5]),
        Model("student", "student", FOUND, FOUND, 3, 3, [0.65, 0.3]),
    ]
    rows, reference = compare(models, KNOWN, "teacher", None)
    assert reference == "teacher"
    assert [row["accuracy"] for row in rows] == [0.25, 1.0, 1.0]
    assert rows[2]["agreement"] == 1
    assert rows[0]["versus_teacher"]["only_second"] == 3
    told = table.markdown(rows)
    assert "| exact match, % (95% CI) | macro-F1, % | micro-F1, % |" in told
    assert "Matthews" not in told
    same = scores.mcnemar([True] * 4, [True] * 4)
    said = judge(rows[2], rows[0], same, same, texts=4, margin=0.01, majority=majority(KNOWN)).details
    assert "the student has an exact match of 100.0%" in said
    assert "Always predicting" not in said
    assert (
        "predicting the most frequent set of labels has an accuracy of 25.0%"
        in judge(rows[0], rows[0], same, same, texts=4, margin=0.01, majority=0.25).details
    )


def test_a_teacher_that_has_not_answered_is_wrong_and_agrees_with_nobody():
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    silent = np.where(np.arange(4)[:, None] == 0, np.nan, sure)
    models = [Model("student", "student", sure, sure, 1, 1), Model("gpt", "teacher", silent, sure, None, None)]
    rows, _ = compare(models, np.array([0, 0, 1, 0]), "gpt", None)
    assert [row["accuracy"] for row in rows] == [0.75, 0.5]
    assert rows[0]["agreement"] == 1  # of three texts
    assert rows[0]["versus_teacher"]["only_first"] == 1


def test_validation_and_test_are_pooled_without_texts_that_the_teacher_does_not_predict():
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    unknown = np.array([[0.9, 0.1], [np.nan, np.nan], [0.9, 0.1]])
    student = Model("student", "student", sure, sure, 1, 1)
    teacher = Model("minilm", "teacher", sure, unknown, 1, 1)
    found, texts = pooled(student, teacher, np.array([0, 0, 1]), np.array([0, 0, 0]))
    assert texts == 5
    assert (found["only_first"], found["only_second"]) == (1, 0)
