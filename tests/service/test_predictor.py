"""Responses are bounded."""

import dataclasses
import json

import pytest

from potstill.service import predictor
from tests.scopes import TEXTS as SCOPED
from tests.scopes import scoped
from tests.serving import TEXTS, call, made
from tests.students import multi_label_student, promising, student

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("multi_label", "rows", "top_k", "detail"),
    [
        (False, 5, 3, "body.top_k: 5 texts with 3 probabilities each exceed the limit of 12 per response. "),
        (False, 5, 99, "Set top_k to at most 2, or send at most 4 texts."),
        (False, 5, 2, None),
        (False, 10, None, None),
        (True, 5, None, "5 texts with 3 probabilities each (all classes, without top_k) exceed the limit of 12"),
        (True, 5, 1, "body.texts: they have 15 labels, more than the limit of 12 per response. Send fewer texts."),
        (True, 4, None, None),
    ],
)
def test_answers_are_bounded(monkeypatch, multi_label, rows, top_k, detail):
    monkeypatch.setattr(predictor, "PROBABILITIES", 12)
    app = made(dataclasses.replace(student("bigru"), thresholds=[0.0] * 3 if multi_label else None), {}, max_batch=10)
    status, content = call(app, "/predict", json.dumps({"texts": ["a"] * rows, "top_k": top_k}).encode())
    assert status == (422 if detail else 200)
    assert detail is None or detail in json.loads(content)["detail"]


def test_the_service_abstains_if_it_is_to():
    student_ = promising(student("bigru"), TEXTS)
    request = {"texts": TEXTS}
    for abstain in (False, True):
        body = json.dumps(request | {"abstain": abstain}).encode()
        _, content = call(made(student_, {}), "/predict", body)
        found = [row["label"] for row in json.loads(content)["predictions"]]
        assert found == student_.predict(TEXTS, abstain=abstain).tolist()
    status, content = call(made(student("bigru"), {}), "/predict", body)
    assert status == 422
    assert "the model has no guarantee" in json.loads(content)["detail"]


def test_a_batch_that_is_allowed_is_answered(monkeypatch):
    monkeypatch.setattr(predictor, "PROBABILITIES", 12)
    assert call(made(student("bigru"), {}), "/predict", json.dumps({"texts": ["a"] * 100}).encode())[0] == 200


@pytest.mark.parametrize("made_student", [student("mlp"), multi_label_student("mlp")], ids=["one label", "multi-label"])
def test_it_says_which_texts_are_in_scope(made_student):
    texts = [text for text in SCOPED if text.isprintable() and len(text) < 100]
    body, known = json.dumps({"texts": texts}).encode(), scoped(made_student)
    status, content = call(made(known, {}, max_batch=100), "/predict", body)
    assert status == 200
    predictions = json.loads(content)["predictions"]
    assert [answer.pop("in_scope") for answer in predictions] == known.in_scope(texts).tolist()
    assert json.loads(call(made(made_student, {}, max_batch=100), "/predict", body)[1])["predictions"] == predictions
