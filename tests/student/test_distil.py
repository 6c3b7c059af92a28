import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy
from potstill.runtime import file
from potstill.runtime.file import TABLE
from potstill.runtime.model import UNROUNDED, Student
from potstill.runtime.networks import ARCHITECTURES
from potstill.scoring import pretrained
from potstill.student import distil as distillation
from potstill.student import training
from potstill.student.distil import distil
from potstill.student.vectors import TeacherVectors
from tests.settings import mixed_logits, soft_labels, student_settings
from tests.teachers import make_teacher


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_every_architecture_learns_from_soft_labels(architecture, loss, data):
    params = student_settings(architecture=architecture, loss=loss)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    answers = trained.student.predict_proba(data.test["text"])
    assert (answers.argmax(1) == data.test["label"]).mean() > 0.9
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)
    assert trained.best["validation_accuracy"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
def test_a_student_with_shared_rows_learns(architecture, data):
    params = student_settings(architecture=architecture, embedding_rows=20)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert len(trained.words) == 59
    assert len(trained.student.weights["embedding.weight"]) == 20
    assert (trained.student.predict_proba(data.test["text"]).argmax(1) == data.test["label"]).mean() > 0.9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_largest_parameters_can_be_saved(architecture):
    most = {
        "max_length": file.MAX_LENGTH,
        "hidden": 3,
        "embedding_dim": file.MAX_WIDTH,
        "weight_bits": 8,
        "fingerprint_bits": 16,
    }
    params = student_settings(
        architecture=architecture, max_ngram=file.MAX_NGRAM if architecture == "mlp" else 1, **most, epochs=1
    )
    table = pd.DataFrame({"text": ["a b", "c d e"], "label": [0, 1]})
    trained = distil(["x", "y"], ["a b c d e f g"] * 40, np.zeros((40, 2), np.float32), table, params)
    assert Student.from_bytes(trained.student.to_bytes()).vocabulary == trained.student.vocabulary


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a" * 70_000, "b"], "70,002 bytes"), (["a\nb", "c"], "line break"), (["a", "a"], "two classes are named")],
)
def test_labels_beyond_the_limits_of_the_file_are_rejected_before_training(labels, message, data, monkeypatch):
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(PotstillError, match=message):
        distil(labels, ["a b"], np.zeros((1, 2), np.float32), data.validation, student_settings())


@pytest.mark.parametrize("rows", [None, 2])
def test_texts_without_words_give_a_student_without_vocabulary(rows):
    params = student_settings(vocab_size=5, embedding_rows=rows, fingerprint_bits=None, epochs=1)
    table = pd.DataFrame({"text": ["\u0301", "\u200d"], "label": [0, 1]})
    trained = distil(["x", "y"], ["\u0301"] * 40, np.zeros((40, 2), np.float32), table, params)
    assert Student.from_bytes(trained.student.to_bytes()).words == []


@pytest.mark.slow
def test_unquantized_weights_are_kept(data):
    params = student_settings(architecture="bigru", weight_bits=3)
    made = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert made.unrounded.keys() == made.student.weights.keys()
    steps = made.student.steps
    for name, weight in made.student.weights.items():
        inside = abs(made.unrounded[name] - weight) <= 0.51 * steps[name]
        clipped = abs(weight) >= abs(weight).max()
        assert (inside | clipped).all()


def test_without_quantization_there_are_no_other_weights(data):
    params = student_settings(weight_bits=None)
    made = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert made.unrounded == {}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_a_multi_label_student_learns_from_soft_labels(architecture, loss, mixed):
    params = student_settings(architecture=architecture, loss=loss, learning_rate=0.05)
    trained = distil(mixed.labels, mixed.train["text"].tolist(), mixed_logits(mixed), mixed.validation, params)
    assert trained.student.thresholds == [0.5] * 3
    found = trained.student.predict_proba(mixed.test["text"])
    assert accuracy(found, mixed.targets("test"), threshold=0.5) > 0.9
    assert trained.best["validation_accuracy"] == accuracy(
        trained.student.predict_proba(mixed.validation["text"]), mixed.targets("validation"), threshold=0.5
    )


SUBWORDS = {"architecture": "bigru", "subwords": True, "vocab_size": 120, "embedding_dim": 8, "informative_share": 0.3}


@pytest.fixture
def teacher(bert, data, tmp_path):
    """The folder of an untrained teacher of the labels of `data`, whose vectors differ between words all the same."""
    return make_teacher(bert, tmp_path / "teacher", data.labels)


@pytest.fixture
def initial(monkeypatch):
    """The word vectors that the last student began with."""
    seen = []
    build = distillation.networks.build

    def recorded(params, rows, classes, vectors=None):
        seen.append(vectors)
        return build(params, rows, classes, vectors)

    monkeypatch.setattr(distillation.networks, "build", recorded)
    return lambda: seen[-1]


def with_subwords(data, teacher, **changes):
    params = student_settings(**SUBWORDS | changes)
    return distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params, teacher)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"fingerprint_bits": None}, {"architecture": "mlp"}, {"weight_bits": 4}])
def test_a_student_that_splits_words_learns(changes, data, teacher):
    trained = with_subwords(data, teacher, **changes)
    assert trained.student.vocabulary.subwords
    assert (trained.student.predict_proba(data.test["text"]).argmax(1) == data.test["label"]).mean() > 0.8
    again = Student.from_bytes(trained.student.to_bytes())
    np.testing.assert_array_equal(
        again.predict_proba(["i feel gladness"]), trained.student.predict_proba(["i feel gladness"])
    )


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_only_the_vectors_of_the_students_own_words_are_trained(weight_decay, data, teacher, initial):
    weights = with_subwords(data, teacher, epochs=3, weight_decay=weight_decay).student.weights[TABLE]
    is_trained, table = initial().is_trained, initial().table
    assert weights.shape == table.shape
    assert 0.2 < is_trained.mean() < 0.6
    np.testing.assert_array_equal(weights[~is_trained], table[~is_trained])
    assert (weights[is_trained] != table[is_trained]).any(1).all()
    assert not weights[0].any()  # the unknown word


def test_vectors_that_are_not_trained_are_rounded(data, teacher, initial):
    trained = with_subwords(data, teacher, epochs=4, weight_bits=4)
    kept, table = ~initial().is_trained, initial().table
    np.testing.assert_array_equal(trained.unrounded[TABLE][kept], table[kept])
    step = trained.student.steps[TABLE]
    expected = np.clip(np.round(table[kept] / step), -7, 7) * step
    np.testing.assert_allclose(trained.student.weights[TABLE][kept], expected, atol=1e-6)


def test_students_that_split_words_begin_with_the_teachers_vectors(data, teacher, initial):
    trained = with_subwords(data, teacher, epochs=1)
    found = TeacherVectors(*pretrained.load(str(teacher), trained=True)).embed(trained.words)
    reduced, table = found - found.mean(0), initial().table[1:]
    weights, *_ = np.linalg.lstsq(reduced, table - table.mean(0), rcond=None)
    np.testing.assert_allclose(reduced @ weights, table - table.mean(0), atol=1e-3)  # a linear map of them


@pytest.mark.parametrize("changes", [SUBWORDS, {"architecture": "transformer"}])
def test_students_made_of_a_teacher_need_one(changes, data):
    params = student_settings(**changes)
    with pytest.raises(PotstillError, match=r"begin with a Transformer's weights\. Set `student\."):
        distil(data.labels, ["a b"], np.zeros((1, 3), np.float32), data.validation, params)


@pytest.mark.parametrize("layers", [1, 0])
def test_a_small_transformer_is_distilled(layers, data, teacher):
    params = student_settings(
        architecture="transformer", layers=layers, vocab_size=300, epochs=2, learning_rate=1e-3, weight_bits=8
    )
    texts, epochs = data.train["text"].tolist()[:60], []
    trained = distil(data.labels, texts, soft_labels(data)[:60], data.validation, params, teacher, epochs.append)
    assert trained.student.shape.layers == (layers or 2)
    assert len(epochs) == (2 if layers else 1)
    assert (trained.words, trained.unrounded) == ([], {})
    found = accuracy(trained.student.decision_function(data.validation["text"].tolist()), data.targets("validation"))
    assert found == pytest.approx(trained.best["validation_accuracy"])


def test_a_trained_student_is_saved_whole(data, tmp_path):
    params = student_settings(weight_bits=3, epochs=2)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    size = trained.save(tmp_path / "student")
    assert (tmp_path / "student/student.pot").stat().st_size == size == len(trained.student.to_bytes())
    assert json.loads((tmp_path / "student/words.json").read_text()) == trained.words
    saved = load_file(tmp_path / "student" / UNROUNDED)
    assert saved.keys() == trained.unrounded.keys()
