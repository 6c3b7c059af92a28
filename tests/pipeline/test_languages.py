"""Training and all runtimes on texts in any script."""

import numpy as np
import onnxruntime
import pytest

from potstill.baseline.network import train_on_labels
from potstill.export import to_onnx
from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.scoring.tfidf import Tfidf
from tests.languages import LANGUAGES, make
from tests.settings import baseline_settings
from tests.students import portable


@pytest.fixture(scope="module", params=LANGUAGES)
def trained(request):
    """A student trained on hard labels, and unseen texts of known words."""
    train, held_out = make(request.param, 200, 0), make(request.param, 60, 1)
    held_out = held_out[~held_out["text"].isin(train["text"])]
    params = baseline_settings(architecture="bigru", vocab_size=100, fingerprint_bits=None, epochs=8)
    student = train_on_labels(["good", "bad"], train, train, params).student
    return student, train, held_out["text"].tolist(), held_out["label"].to_numpy()


def test_a_student_learns(trained):
    student, _, texts, labels = trained
    assert len(texts) > 10
    assert (student.predict_proba(texts).argmax(1) == labels).mean() > 0.95


def test_tfidf_learns(trained):
    _, train, texts, labels = trained
    assert (Tfidf.fit(train, 10.0, None).predict_proba(texts).argmax(1) == labels).mean() > 0.9


def test_all_runtimes_predict_the_same(trained, javascript, tmp_path):
    student, _, texts, _ = trained
    texts = [*texts, "".join(texts), " ".join(texts)]
    student.save(tmp_path / "a.pot")
    loaded = Student.load(tmp_path / "a.pot")
    expected = portable(loaded).predict_proba(texts)
    session = onnxruntime.InferenceSession(to_onnx.build(loaded).SerializeToString())
    [[answers, explained, _]] = javascript([tmp_path / "a.pot"], texts)
    np.testing.assert_allclose(loaded.predict_proba(texts), expected, atol=1e-5)
    np.testing.assert_allclose(session.run(None, {"text": np.array(texts, object)})[1], expected, atol=1e-5)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert [part["word"] for part in explained[0]["words"]] == tokenizer.words(texts[0])
