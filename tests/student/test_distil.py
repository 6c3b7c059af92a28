import numpy as np
import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy
from potstill.runtime import file
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES
from potstill.student import training
from potstill.student.distil import distil
from tests.settings import mixed_logits, soft_labels, student_settings


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
