"""The service as a process of its own, over real sockets."""

import asyncio
import dataclasses
import http.client
import json
import logging
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from potstill.commands import page
from potstill.core.errors import PotstillError
from potstill.runtime.model import Student
from potstill.service import app as service
from potstill.service import server as servers
from tests.serving import TEXTS, ask, call, called, made, serving
from tests.students import student

pytestmark = pytest.mark.slow


def test_it_answers_as_the_runtime(server, model):
    status, found = ask(server, "/predict", {"texts": TEXTS})
    made = Student.load(model)
    assert status == 200
    assert [row["label"] for row in found["predictions"]] == made.predict(TEXTS).tolist()
    np.testing.assert_allclose(
        [row["probability"] for row in found["predictions"]], made.predict_proba(TEXTS).max(1), atol=1e-6
    )
    _, found = ask(server, "/predict", {"texts": TEXTS, "top_k": 9})
    for row, expected in zip(found["predictions"], made.predict_proba(TEXTS), strict=True):
        assert [row["probabilities"][label] for label in made.labels] == pytest.approx(expected, abs=1e-6)
        assert list(row["probabilities"]) == [made.labels[i] for i in np.argsort(-expected)]


def test_it_says_what_it_is(server, model):
    assert ask(server, "/healthz") == (200, {"status": "ok"})
    status, known = ask(server, "/model")
    assert status == 200
    assert known["bytes"] == model.stat().st_size
    _, described = ask(server, "/openapi.json")
    assert set(described["paths"]) == {"/predict", "/healthz", "/model"}
    status, page = ask(server, "/")
    assert status == 200
    assert "default-src 'none'" in page


def test_the_page_of_the_interface_loads_nothing():
    status, content = call(made(student("bigru"), {}, max_batch=77), "/docs")
    page = content.decode()
    assert status == 200
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", page)
    for path in ("POST /predict", "GET /healthz", "GET /model"):
        assert f"<h2><code>{path}</code></h2>" in page
    assert "&quot;maxItems&quot;: 77" in page  # the limits of this service
    links = re.findall(r'href="([^"]*)"', page)
    assert {link for link in links if not link.startswith("#")} == {"openapi.json", "metrics", "./"}
    assert all(f'id="{link[1:]}"' in page for link in links if link.startswith("#"))


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/", 200, None),
        ("HEAD", "/healthz", 200, None),
        ("HEAD", "/docs", 200, None),
        ("HEAD", "/predict", 405, "POST"),
        ("HEAD", "/nowhere", 404, None),
        ("GET", "/predict", 405, "POST"),
        ("PUT", "/model", 405, "GET, HEAD"),
        ("GET", "/nowhere%1b[31m", 404, None),
    ],
)
def test_methods_and_paths(server, method, path, status, allow):
    connection = http.client.HTTPConnection(server, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["allow"]) == (status, allow)
    assert int(answer.headers["content-length"]) > 10
    content = answer.read()
    if method == "HEAD":
        assert content == b""
    else:
        assert list(json.loads(content)) == ["detail"]


def test_what_is_no_number_is_never_in_a_body(model, monkeypatch):
    app = made(Student.load(model), {})
    monkeypatch.setattr(Student, "predict_proba", lambda self, texts: np.full((len(texts), 6), np.nan, np.float32))
    status, content = call(app, "/predict", b'{"texts": ["a"]}')
    assert status == 500
    assert "Export the student again" in json.loads(content)["detail"]
    with pytest.raises(PotstillError, match="facts cannot be written as JSON"):
        made(Student.load(model), {"loss": float("nan")})


def test_a_defect_is_told_in_the_same_shape_and_counted(model, monkeypatch):
    app = made(Student.load(model), {})
    monkeypatch.setattr(Student, "predict_proba", lambda self, texts: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # for the log
        call(app, "/predict", b'{"texts": ["a"]}')
    app.state.metrics.count_refused(408)
    _, metrics = call(app, "/metrics")
    assert b'potstill_requests_total{path="/predict",status="500"} 1.0' in metrics
    assert b'potstill_requests_total{path="other",status="408"} 1.0' in metrics


def test_labels_are_safe_for_a_terminal(model):
    student = Student.load(model)
    labels = [f'\x1b[3{number}m"\\\x9b2J\x7f\u2028\u202e日' for number in range(len(student.labels))]
    known = {"labels": labels, "a\x9b": "é\x85\U000e0001", "joined": "👩\u200d👧"}
    app = made(dataclasses.replace(student, labels=labels), known)
    _, content = call(app, "/predict", b'{"texts": ["a", "b"], "top_k": 9}')
    assert content.decode().isprintable()
    assert json.loads(content)["predictions"][0]["label"] in labels
    assert set(json.loads(content)["predictions"][0]["probabilities"]) == set(labels)
    _, content = call(app, "/model")
    assert content.decode().replace("\u200d", "").isprintable()
    assert "👩\u200d👧" in content.decode()
    assert json.loads(content) == known
    assert call(app, "/metrics")[1].decode().replace("\n", "").isprintable()
    assert page.title(dataclasses.replace(student, labels=labels)).isprintable()
    record = logging.LogRecord("", logging.ERROR, "", 1, "a\x1b[31m\nb", (), None)
    assert servers._VisibleFormatter().format(record) == "a\\x1b[31m\nb"


@pytest.mark.parametrize(("rows", "most"), [(2, 2), (1, 6)])
def test_few_large_answers_are_computed_at_a_time(monkeypatch, rows, most):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(service, "SMALL_RESPONSE", 3)
    running, found, lock = 0, [], threading.Lock()

    def predict_proba(self, texts):
        nonlocal running
        with lock:
            running += 1
            found.append(running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return np.full((len(texts), 3), 1 / 3, np.float32)

    monkeypatch.setattr(Student, "predict_proba", predict_proba)
    app = made(student("bigru"), {})

    async def all_at_once():
        body = json.dumps({"texts": ["a"] * rows}).encode()
        return await asyncio.gather(*(called(app, "/predict", body) for _ in range(6)))

    assert {status for status, _ in asyncio.run(all_at_once())} == {200}
    assert max(found) == most


def test_two_hundred_at_once_are_all_answered(server, model):
    texts = [[f"the ab {i}", TEXTS[i % 4]] for i in range(200)]
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda some: ask(server, "/predict", {"texts": some}), texts))
    assert {status for status, _ in found} == {200}
    made = Student.load(model)
    for some, (_, answer) in zip(texts, found, strict=True):
        assert [row["label"] for row in answer["predictions"]] == made.predict(some).tolist()


def test_a_kept_connection_is_answered_at_once(server):
    connection = http.client.HTTPConnection(server, timeout=30)
    start = time.monotonic()
    for _ in range(50):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    assert time.monotonic() - start < 1


@pytest.mark.slow
def test_a_service_gives_the_labels_and_the_probabilities(multi_label_model):
    made = Student.load(multi_label_model)
    with serving(multi_label_model) as (_, place):
        status, found = ask(place, "/predict", {"texts": TEXTS})
        _, few = ask(place, "/predict", {"texts": TEXTS, "top_k": 1})
        _, known = ask(place, "/model")
        _, counted = ask(place, "/metrics")
    assert status == 200
    assert [tuple(sorted(row["labels"])) for row in found["predictions"]] == made.predict(TEXTS).tolist()
    for row, best, expected in zip(found["predictions"], few["predictions"], made.predict_proba(TEXTS), strict=True):
        assert [row["probabilities"][label] for label in made.labels] == pytest.approx(expected, abs=1e-6)
        assert best["labels"] == row["labels"]
        assert list(best["probabilities"]) == [made.labels[expected.argmax()]]
    assert known["thresholds"] == dict(zip(made.labels, made.thresholds, strict=True))
    assert 'potstill_texts_total{label="c0"}' in counted
