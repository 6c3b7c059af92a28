"""The ONNX model predicts what the runtime does, in the stock onnxruntime."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings

from potstill.runtime.model import pad
from potstill.runtime.networks import ARCHITECTURES
from tests.onnx_models import run, session
from tests.students import KINDS, ODD, TEXTS, multi_label_student, student


def answer(running, texts):
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    return running.run(None, {"text": np.array(clean, object)})


def agree(made, running, texts):
    labels, probabilities = answer(running, texts)
    np.testing.assert_allclose(probabilities, made.predict_proba(texts), atol=1e-5)
    assert labels.tolist() == made.predict(texts).tolist()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pair(request):
    made = student(request.param)
    return made, session(made)


@pytest.mark.slow
def test_it_predicts_what_the_runtime_does_on_odd_text(pair):
    agree(*pair, ODD)
    for text in ODD:
        agree(*pair, [text])
    agree(*pair, ["", "\n"])


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS.filter(bool))
def test_it_predicts_what_the_runtime_does_on_any_text(pair, texts):
    # onnxruntime may know a later version of Unicode.
    known = [text for text in texts if all(unicodedata.category(c) != "Cn" for c in text)]
    if known:
        agree(*pair, known)


@pytest.mark.slow
def test_every_character_has_the_same_kind_as_in_python():
    made = student("mlp", max_ngram=1)
    points = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    texts = ["".join(f"a{chr(c)}ab{chr(c)}日{chr(c)} " for c in points[i : i + 4]) for i in range(0, len(points), 4)]
    agree(made, session(made), texts)


@pytest.mark.parametrize("max_ngram", [1, 2, 3, 5])
def test_ngrams_are_found(max_ngram):
    made = student("mlp", max_ngram=max_ngram)
    agree(made, session(made), ["not good", "not", "good not good good", "extraordinarily  long word", *ODD])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["fingerprints", "subwords", "subword fingerprints"])
def test_with_fingerprints_or_subwords_it_takes_ids(architecture, kind):
    made = student(architecture, **KINDS[kind])
    running = session(made)
    ids, mask = pad(made.vocabulary.encode(ODD), np.arange(len(ODD)))
    labels, probabilities = running.run(None, {"ids": np.where(mask, ids, -1)})
    np.testing.assert_allclose(probabilities, made.predict_proba(ODD), atol=1e-5)
    assert labels.tolist() == made.predict(ODD).tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_label_is_named_in_its_column(architecture):
    made = multi_label_student(architecture)
    texts = [text.encode("utf-8", "replace").decode() for text in ODD]
    labels, probabilities = run(made, texts)
    np.testing.assert_allclose(probabilities, made.predict_proba(texts), atol=1e-5)
    assert labels.shape == (len(texts), 3)
    assert [tuple(filter(None, row)) for row in labels] == made.predict(texts).tolist()
