"""Distilling a small Transformer."""

from functools import partial

import numpy as np
import pytest
import torch

from potstill import Student
from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy
from potstill.student import training, transformer
from tests.settings import mixed_logits, soft_labels, student_settings
from tests.teachers import make_teacher

PARAMS = student_settings(vocab_size=200, epochs=12, batch_size=16, learning_rate=5e-3, max_length=32, dropout=0.1)


def train(data, logits, teacher, layers=1, params=PARAMS, loss=training.kl):
    log = []
    made, best = transformer.train(
        data.labels,
        data.train["text"].tolist(),
        torch.from_numpy(logits),
        partial(loss, temperature=1.0),
        data.validation,
        params,
        layers,
        teacher,
        log.append,
    )
    return made, best, log


@pytest.mark.slow
def test_it_learns_the_task_from_soft_labels(bert, data, tmp_path):
    teacher = make_teacher(bert, tmp_path / "teacher", data.labels)
    made, best, log = train(data, soft_labels(data), teacher)
    scores = made.predict_proba(data.validation["text"])
    assert [epoch["epoch"] for epoch in log] == [*range(1, 13)]
    assert best["validation_accuracy"] == accuracy(scores, data.targets("validation"))
    assert accuracy(made.predict_proba(data.test["text"]), data.targets("test")) > 0.9
    assert (made.shape.layers, made.thresholds, made.architecture) == (1, None, "transformer")
    made.save(tmp_path / "a.pot")
    np.testing.assert_array_equal(
        Student.load(tmp_path / "a.pot").predict_proba(data.test["text"]), made.predict_proba(data.test["text"])
    )


@pytest.mark.slow
def test_it_learns_a_multi_label_task(bert, mixed, tmp_path):
    teacher = make_teacher(bert, tmp_path / "teacher", mixed.labels)
    params = PARAMS.model_copy(update={"epochs": 40, "learning_rate": 3e-3})
    made, _, _ = train(mixed, mixed_logits(mixed), teacher, params=params, loss=training.binary_kl)
    assert made.thresholds == [0.5] * 3
    chosen = made.predict_proba(mixed.test["text"]) > 0.5
    assert (chosen == mixed.targets("test")).mean() > 0.7  # always the more frequent answer: 0.62


def test_the_same_seed_gives_the_same_student(bert, data, tmp_path):
    teacher = make_teacher(bert, tmp_path / "teacher", data.labels)
    params = PARAMS.model_copy(update={"epochs": 1})
    first, second = (train(data, soft_labels(data), teacher, params=params)[0].to_bytes() for _ in range(2))
    assert first == second


def test_a_damaged_teacher_is_named(tmp_path, data):
    with pytest.raises(PotstillError, match="cannot be loaded as a text classifier"):
        train(data, soft_labels(data), tmp_path)
