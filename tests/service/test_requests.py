"""Bodies of requests."""

import json
import threading

import pytest

from potstill.runtime.model import Student
from potstill.service import requests
from potstill.service.middleware import SMALL_BODY
from tests.serving import ask, call, made

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 422, "JSON decode error: Expecting property name"),
        (b"", 422, "JSON decode error"),
        (b"\xff\xfe", 422, "JSON decode error"),
        (b"\xff\xfe\0", 422, "truncated data"),
        (b'{"texts": ["\xff"]}', 422, "invalid start byte"),
        (b'{"texts": ["a\0"]}', 422, "Invalid control character"),
        (b"[" * 9000, 422, "nested too deeply"),
        (b'{"a":' * 1800, 422, "nested too deeply"),
        (b"[]", 422, "must be a JSON object"),
        (b'{"texts": ["a"], "texts": ["b"]}', 422, "body: duplicate key 'texts'"),
        (b'{"texts": ["a"], "top_k": 1' + b"0" * 5000 + b"}", 422, "too many digits"),
        (b'{"texts": ["a"], "top_k": NaN}', 422, "body.top_k: Input should be a valid integer"),
        (
            b'{"texts": ["a", "\\ud800"]}',
            422,
            r"body.texts.1: has a lone surrogate (\ud800), which is not a character",
        ),
        ({}, 422, "body.texts: Field required"),
        ({"texts": ["a"], "topk": 3}, 422, "body: unknown key 'topk'. Did you mean 'top_k'?"),
        ({"texts": ["a"], "lang": "en"}, 422, "body: unknown key 'lang'. Known keys: texts, top_k, abstain."),
        ({"texts": ["a"], "\x1b[31m" + "k" * 5000: 1}, 422, r"unknown key '\x1b[31mk"),
        ({"texts": ["a"], "top_k": True}, 422, "body.top_k: Input should be a valid integer"),
        ({"texts": ["a"], "top_k": "3"}, 422, "body.top_k: Input should be a valid integer"),
        ({"texts": ["a"], "top_k": 1.5}, 422, "body.top_k: Input should be a valid integer"),
        ({"texts": [{"a": "b", "c": {}}]}, 422, "body.texts.0: Input should be a valid string"),
        ({"texts": {"a": "b"}}, 422, "body.texts: Input should be a valid list"),
        ({"texts": ["a"], "top_k": {}}, 422, "body.top_k: Input should be a valid integer"),
        ({"texts": ["a", None]}, 422, "body.texts.1: Input should be a valid string"),
        ({"texts": [1] * 3000}, 422, "body.texts.0: Input should be a valid string"),
        ({"texts": []}, 422, "texts: List should have at least 1 item"),
        ({"texts": "the"}, 422, "valid list"),
        ({"texts": ["a", 3]}, 422, "texts.1: Input should be a valid string"),
        ({"texts": ["a"] * 101}, 422, "at most 100 items"),
        ({"texts": ["a" * 201]}, 422, "at most 200 characters"),
        ({"texts": ["a"], "top_k": 0}, 422, "top_k"),
        ({"texts": ["a" * 10_000]}, 413, "more than 10,000 bytes"),
    ],
)
def test_bad_requests_are_told_why(server, body, status, detail):
    found, answer = ask(server, "/predict", body)
    assert found == status
    assert detail in answer["detail"]
    assert list(answer) == ["detail"]
    assert answer["detail"].isprintable()
    assert len(answer["detail"]) < 300
    assert ask(server, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"{}", "body.texts.0: Input should be a valid string"),
        (b'"a","a"', None),
        (b'"\\ud800"', r"body.texts.0: has a lone surrogate (\ud800), which is not a character"),
        (b'"a"]}', "body: JSON decode error: Extra data"),
        (b"[" * 100_000, "body: JSON is nested too deeply."),
    ],
)
def test_large_bodies_are_parsed_in_another_thread(model, monkeypatch, value, detail):
    threads = []
    parse = requests.parse

    def noted(content):
        threads.append(threading.current_thread())
        return parse(content)

    monkeypatch.setattr(requests, "parse", noted)
    app = made(Student.load(model), {}, max_body=1 << 20)
    for padding in (0, SMALL_BODY):
        status, answer = call(app, "/predict", b'{"texts": [' + value + b" " * padding + b"]}")
        assert status == (422 if detail else 200)
        assert detail is None or detail in json.loads(answer)["detail"]
    large = [len(value) > SMALL_BODY, True]
    assert [thread is not threading.main_thread() for thread in threads] == large


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + b'{"texts": ["the", ""]}',
        '{"texts": ["the", ""]}'.encode("utf-16"),
        b'{"texts": ["the", "\\u0000"], "top_k": null}',
        b'{"texts": ["the", "\xc2\x9b \xe2\x80\xa8"], "top_k": 1000000000000000000000000000000}',
    ],
)
def test_unusual_bodies_are_answered(server, body):
    status, answer = ask(server, "/predict", body)
    assert status == 200
    assert len(answer["predictions"]) == 2


def test_half_a_surrogate_pair_harms_nothing(server):
    status, _ = ask(server, "/predict", b'{"texts": ["\\ud800 the"]}')
    assert status in (200, 422)
    assert ask(server, "/healthz")[0] == 200
