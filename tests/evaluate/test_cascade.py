"""The cascade of student and teacher."""

from dataclasses import astuple

import numpy as np
import pytest

from potstill.evaluate.cascade import cascade, command, fallback


def test_the_cascade_takes_the_lowest_threshold_that_reaches_the_teacher_on_validation():
    labels = np.array([0, 0, 0, 0, 1, 1])
    student = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.35, 0.65], [0.1, 0.9], [0.4, 0.6]])
    teacher = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    found = cascade((labels, student, teacher), (labels, student, teacher))
    # The student is correct on 4 of 6, the teacher on 5; below 0.56 one text is sent to the teacher, and is correct.
    assert found.needed
    assert found.threshold == 0.56
    assert found.fallback_share == pytest.approx(1 / 6)
    assert found.accuracy == pytest.approx(5 / 6)
    assert astuple(found.curve[0])[1:] == (0.0, pytest.approx(4 / 6))
    assert astuple(found.curve[-1])[1:] == (1.0, pytest.approx(5 / 6))


def test_no_cascade_is_needed_if_the_student_is_as_accurate():
    labels = np.array([0, 1])
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = cascade((labels, sure, sure), (labels, sure, sure))
    assert not found.needed
    assert found.threshold is None
    assert found.fallback_share == 0


def test_the_cascade_ignores_texts_without_predictions_of_the_teacher():
    labels = np.array([0, 1])
    student, teacher = np.array([[0.4, 0.6], [0.1, 0.9]]), np.array([[0.9, 0.1], [np.nan, np.nan]])
    assert cascade((labels, student, teacher), (labels, student, teacher)).teacher == 1.0


def test_without_predictions_of_the_teacher_for_validation_there_is_no_cascade():
    labels, sure = np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]])
    assert cascade((labels, sure, np.full((2, 2), np.nan)), (labels, sure, sure)) is None


def test_only_a_single_network_can_be_the_fallback():
    models = {"minilm": {"parameters": 22_000_000}, "table": {"parameters": None}}
    assert fallback(["minilm"], models) == "minilm"
    assert [fallback(names, models) for names in (["table"], ["minilm", "table"], ["unknown"])] == [None, None, None]


def test_the_command_quotes_the_teacher_for_the_shell():
    assert command(0.8, "my teacher").endswith("texts.txt --threshold 0.8 --fallback 'models/teacher/my teacher'")
