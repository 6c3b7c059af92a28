"""Which rung is taken, and what the rows of the ladder say."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from potstill.student import ladder
from potstill.student.ladder import Row

TOLERANCE = 0.01


def row(name, accuracy, difference=None, status="too inaccurate", size=1000):
    return Row(name, "bigru", status, 100, size, accuracy, difference, difference, difference)


def choose(*rows):
    return ladder.choose(rows, TOLERANCE, 2 * TOLERANCE)


def test_the_first_rung_that_keeps_the_teachers_accuracy_is_taken():
    assert choose(row("a", 0.8, -0.1), row("b", 0.9, -0.01), row("c", 0.95, 0.04)) == "b"
    assert choose(row("a", 0.95, 0.0), row("b", 0.99, 0.04)) == "a"


def test_a_rung_of_a_tenth_of_the_size_may_lose_twice_as_much():
    found = row("c", 0.90, 0.0, size=10_000)
    assert choose(row("a", 0.87, -0.03), row("b", 0.88, -0.02), found) == "b"
    assert choose(row("a", 0.88, -0.02, size=1001), found) == "c"
    assert choose(row("a", 0.87, -0.021), found) == "c"
    assert choose(row("a", 0.88, None, status="stopped early"), found) == "c"
    assert ladder.choose([row("a", 0.88, -0.02), found], TOLERANCE, TOLERANCE) == "c"


def test_if_no_rung_keeps_it_the_smallest_of_the_best_is_taken():
    assert choose(row("a", 0.80, -0.2), row("b", 0.895, -0.105), row("c", 0.9, -0.1)) == "b"
    assert choose(row("a", 0.90, -0.1), row("b", 0.8, -0.2)) == "a"


def test_without_predictions_of_the_teacher_the_smallest_of_the_best_is_taken():
    assert choose(row("a", 0.7), row("b", 0.9), row("c", 0.905)) == "b"


def test_a_rung_that_was_given_up_is_never_taken():
    assert choose(row("a", 0.9, status="stopped early"), row("b", 0.8, -0.2)) == "b"


def test_a_rung_without_a_correct_answer_can_be_taken():
    assert choose(row("a", 0.0, -0.2)) == "a"


def test_the_table_has_all_rungs_in_their_order():
    rungs = {"a": "mlp", "b": "bigru", "c": "bigru", "d": "transformer", "e": "transformer"}
    trained = [row("a", 0.5, status="stopped early"), row("b", 0.8, -0.1), row("c", 0.9, 0.0)]
    excluded = {"d": ("unavailable", "It is too small."), "e": ("not needed", "It is slow.")}
    rows = ladder.table(rungs, excluded, trained, "c", TOLERANCE)
    assert [(one.rung, one.architecture, one.status) for one in rows] == [
        ("a", "bigru", "stopped early"),
        ("b", "bigru", "too inaccurate"),
        ("c", "bigru", "chosen"),
        ("d", "transformer", "unavailable"),
        ("e", "transformer", "not needed"),
    ]
    assert rows[3] == Row("d", "transformer", "unavailable", note="It is too small.")
    assert rows[4] == Row("e", "transformer", "not needed", note="It is slow.")
    assert rows[2].validation_accuracy == 0.9


def test_a_rung_that_keeps_the_accuracy_but_is_larger_is_not_needed():
    trained = [row("a", 0.88, -0.02), row("b", 0.90, 0.0, size=10_000)]
    rows = ladder.table({"a": "bigru", "b": "bigru"}, {}, trained, "a", TOLERANCE)
    assert [(one.rung, one.status, one.bytes) for one in rows] == [("a", "chosen", 1000), ("b", "not needed", 10_000)]


def test_sets_of_sources_grow_and_have_only_those_with_texts():
    everything = ["borrow", "drop", "generated", "replace", "splice", "train", "unlabelled"]
    assert [set(one) for one in ladder.source_sets(everything)] == [
        {"train", "unlabelled"},
        {"train", "unlabelled", "replace", "borrow", "drop", "splice"},
        set(everything),
    ]
    assert ladder.source_sets(["train"]) == [("train",)]
    assert ladder.source_sets(["generated", "train"]) == [("train",), ("train", "generated")]
    assert ladder.source_sets(["drop", "unlabelled"]) == [("unlabelled",), ("unlabelled", "drop")]


def test_the_divergence_is_that_from_the_teacher_where_it_has_predictions():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 3)).astype(np.float32)
    teacher[4:] = np.nan
    soft = torch.from_numpy(teacher[:4]).softmax(-1)
    logged = torch.from_numpy(student[:4]).log_softmax(-1)
    expected = functional.kl_div(logged, soft, reduction="batchmean")
    assert ladder.divergence(student, teacher, False) == pytest.approx(float(expected), abs=1e-5)
    assert ladder.divergence(teacher, teacher, False) == pytest.approx(0, abs=1e-6)


def test_the_divergence_of_a_multi_label_student_is_summed_over_labels():
    student, teacher = np.zeros((2, 2)), np.array([[2.0, 0.0], [np.nan, 0.0]])
    sure = 1 / (1 + np.exp(-2.0))
    expected = sure * np.log(sure / 0.5) + (1 - sure) * np.log((1 - sure) / 0.5)
    assert ladder.divergence(student, teacher, True) == pytest.approx(expected, abs=1e-5)


def test_without_predictions_of_the_teacher_nothing_is_compared():
    nothing, labels = np.full((3, 2), np.nan), np.array([0, 1, 0])
    logits = np.array([[1.0, 0], [1, 0], [1, 0]])
    assert ladder.divergence(logits, nothing, False) is None
    assert ladder.teacher_accuracy(nothing, labels) is None
    measured = ladder.measure(row("a", None), logits, labels, nothing)
    assert measured.validation_accuracy == round(2 / 3, 6)
    assert measured.difference is None
    assert not ladder.keeps(measured, 1.0)


def test_a_rung_is_compared_with_its_teacher_on_the_texts_that_both_have():
    labels = np.array([0, 0, 1, 1])
    student = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]])  # the first and the third are correct
    teacher = np.array([[1.0, 0], [1, 0], [0, 1], [np.nan, np.nan]])  # all three are
    measured = ladder.measure(row("a", None), student, labels, teacher)
    assert measured.validation_accuracy == 0.5
    assert measured.difference == pytest.approx(-1 / 3, abs=1e-6)
    assert measured.difference_low < measured.difference < measured.difference_high
    assert ladder.teacher_accuracy(teacher, labels) == 1
    assert ladder.teacher_accuracy(student, labels) == 0.5


def test_a_multi_label_rung_is_correct_if_all_labels_are():
    labels = np.array([[True, False], [False, False], [True, True]])
    student = np.array([[1.0, -1], [-1, 1], [1, 1]])
    teacher = np.where(labels, 1.0, -1.0)
    measured = ladder.measure(row("a", None), student, labels, teacher)
    assert measured.validation_accuracy == measured.difference + 1 == pytest.approx(2 / 3, abs=1e-6)


def test_a_rung_is_described_in_a_line():
    assert (
        ladder.describe(row("a", 0.9, -0.0123)) == "a: 90.0% on validation, -1.2 points from its teacher, 1,000 bytes"
    )
    assert ladder.describe(row("a", 0.9)) == "a: 90.0% on validation, 1,000 bytes"
    assert ladder.describe(row("a", 0.5, status="stopped early")) == "a: given up at 50.0% on validation"
