"""The verdict of a cross-validation is that of the pooled out-of-fold predictions."""

import numpy as np
import pytest

from potstill.evaluate.folds import Fold, judge_folds
from potstill.evaluate.metrics.scores import mcnemar
from potstill.evaluate.next_steps import ProjectCommands
from potstill.evaluate.predictions import Predictions

KINDS = {"tfidf": "baseline", "hard": "baseline", "student": "student", "minilm": "teacher"}
ACCURACIES = {"tfidf": 0.6, "hard": 0.6, "student": 0.9, "minilm": 0.9}


def fold(number, texts=200, names=tuple(KINDS), multi_label=False):
    rng = np.random.default_rng(number)
    ids = rng.integers(0, 3, texts)
    labels = np.eye(3, dtype=bool)[ids] if multi_label else ids
    probabilities = {}
    for name in names:
        right = np.random.default_rng(5).random(texts) < ACCURACIES[name]  # the same texts for student and teacher
        probabilities[name] = 0.8 * np.eye(3)[np.where(right, ids, (ids + 1) % 3)] + 0.05
    thresholds = dict.fromkeys(names, [0.1 * number] * 3) if multi_label else {}
    test = Predictions([f"{number} {i}" for i in range(texts)], labels, probabilities, thresholds)
    models = {name: {"kind": KINDS[name], "parameters": 100 * number, "bytes": 10 * number} for name in names}
    return Fold(test, models | ({"minilm": models["minilm"] | {"bytes": None}} if "minilm" in names else {}))


def judge(folds, labelling=("minilm",)):
    verdict, steps, rows = judge_folds(folds, labelling, 0.03, 50, ProjectCommands("files", [], "mine"))
    return verdict, steps, {row["name"]: row for row in rows}


def test_every_text_counts_once():
    folds = [fold(number) for number in (1, 2, 3)]
    verdict, _, rows = judge(folds)
    assert verdict.decision == "ship"
    correct = {name: np.concatenate([one.test.correct(name) for one in folds]) for name in KINDS}
    for name, row in rows.items():
        assert row["accuracy"] == pytest.approx(correct[name].mean(), abs=1e-6)
        assert (row["parameters"], row["bytes"]) == (300, None if name == "minilm" else 30)
    assert rows["tfidf"]["versus_teacher"] == mcnemar(correct["tfidf"], correct["minilm"])


def test_each_fold_has_its_own_thresholds():
    folds = [fold(number, multi_label=True) for number in (1, 9)]
    _, _, rows = judge(folds)
    correct = np.concatenate([one.test.correct("student") for one in folds])
    assert 0 < rows["student"]["accuracy"] == pytest.approx(correct.mean(), abs=1e-6)
    assert not folds[1].test.correct("student").any()  # no probability reaches 0.9


def test_a_teacher_without_predictions_in_a_fold_is_left_out():
    verdict, steps, rows = judge([fold(1), fold(2, names=("tfidf", "hard", "student"))])
    assert set(rows) == {"tfidf", "hard", "student"}
    assert verdict.decision == "cannot tell yet"
    assert steps[0].command == "dvc repro"


def test_too_few_texts_ask_for_more():
    verdict, steps, _ = judge([fold(1, 20), fold(2, 20)])
    assert verdict.decision == "cannot tell yet"
    assert not any("Take the next larger" in step.text for step in steps)  # each fold may have another rung
    assert any("and there are 40" in step.text for step in steps)
