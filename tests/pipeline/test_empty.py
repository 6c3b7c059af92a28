"""Every runtime classifies a text without words like one of unknown words, and accepts an empty list of texts."""

import dataclasses

import numpy as np
import onnxruntime
import pytest

from potstill.export import to_onnx
from potstill.runtime.networks import ARCHITECTURES
from tests.students import portable, student
from tools import fuzz

EMPTY = ["", " ", "\n", "\t\x0b\x1c\x85\u3000", "\u200b", "\u200d", "\ufeff", "\ufe0f\u0301", "unheard"]


def pytest_generate_tests(metafunc):
    if "made" in metafunc.fixturenames:
        made = [(name, kind) for name in ARCHITECTURES for kind in ("strings", "fingerprints")]
        metafunc.parametrize("made", [student(name, kind == "strings") for name, kind in made], ids=map("-".join, made))


def session(made):
    return onnxruntime.InferenceSession(to_onnx.build(made).SerializeToString())


def test_python_and_the_kernel_answer_it(made):
    expected = portable(made).predict_proba(["unheard"])[0]
    for way in (made, portable(made)):
        np.testing.assert_allclose(way.predict_proba(EMPTY), [expected] * len(EMPTY), atol=1e-6)
        np.testing.assert_allclose(way.predict_proba(EMPTY * 30), [expected] * 30 * len(EMPTY), atol=1e-6)
        for text in EMPTY:
            np.testing.assert_allclose(way.predict_proba(text), [expected], atol=1e-6)


def test_javascript_answers_it(made):
    running = fuzz.JavaScript()
    answers = running.answers([made.to_bytes()], [EMPTY])
    running.close()
    if answers is None:
        pytest.skip("Node.js is missing")
    expected = portable(made).predict_proba(["unheard"])[0]
    np.testing.assert_allclose(answers[0]["shares"], [expected] * len(EMPTY), atol=1e-6)


def test_onnx_answers_it(made):
    running, expected = session(made), portable(made).predict_proba(["unheard"])[0]
    if running.get_inputs()[0].name == "text":
        for texts in (EMPTY, *[[text] for text in EMPTY]):
            _, shares = running.run(None, {"text": np.array(texts, object)})
            np.testing.assert_allclose(shares, [expected] * len(texts), atol=1e-5)
    else:
        for ids in (np.zeros((2, 0), np.int64), np.full((2, 3), to_onnx.PAD), np.array([[0, -1], [-1, -1]])):
            _, shares = running.run(None, {"ids": ids})
            np.testing.assert_allclose(shares, [expected] * 2, atol=1e-5)


def test_no_texts_have_no_answers(made):
    for way in (made, portable(made)):
        assert way.predict([]).shape == (0,)
        assert way.predict_proba([]).shape == way.decision_function([]).shape == (0, 3)
    running = session(made)
    none = np.array([], object) if running.get_inputs()[0].name == "text" else np.zeros((0, 3), np.int64)
    labels, shares = running.run(None, {running.get_inputs()[0].name: none})
    assert labels.shape == (0,)
    assert shares.shape == (0, 3)


def test_of_several_labels_too():
    made = dataclasses.replace(student("bigru"), thresholds=[0.2, 0.5, 0.7])
    expected = portable(made).predict_proba(["unheard"])[0]
    np.testing.assert_allclose(made.predict_proba(EMPTY), [expected] * len(EMPTY), atol=1e-6)
    assert made.predict([]).shape == portable(made).predict([]).shape == (0,)
    labels, shares = session(made).run(None, {"text": np.array([], object)})
    assert labels.shape == shares.shape == (0, 3)
