"""The service as a process of its own, over real sockets."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest

from potstill.runtime.model import Student
from test_fast import student

pytestmark = pytest.mark.slow
TEXTS = ["the ab not good", "", "日本 ça ☕", "unheard of"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("bigru").save(path)
    return path


@contextmanager
def serving(model, *options):
    """A server, and where it is."""
    command = [sys.executable, "-m", "potstill.cli", "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read()
        yield process, urlsplit(line.split()[0]).netloc
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(model):
    with serving(model, "--max-body", "10000", "--max-batch", "100", "--max-length", "200") as (_, place):
        yield place


def ask(place, path, body=None, **headers):
    """Status and body of an answer."""
    connection = http.client.HTTPConnection(place, timeout=30)
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    connection.request(
        "POST" if body is not None else "GET", path, body, {"content-type": "application/json"} | headers
    )
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if answer.headers[
        "content-type"
    ] == "application/json" else content.decode()


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


def test_it_counts(server):
    ask(server, "/predict", {"texts": ["the"]})
    ask(server, "/nowhere/" + "x" * 50)
    _, metrics = ask(server, "/metrics")
    assert 'potstill_requests_total{path="/predict",status="200"}' in metrics
    assert 'potstill_requests_total{path="other",status="404"}' in metrics
    assert 'potstill_texts_total{label="c' in metrics
    assert "potstill_request_seconds_bucket" in metrics


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 422, "JSON decode error"),
        (b"\xff\xfe", 422, ""),
        (b"[" * 9000, 400, "parsing the body"),
        (b"[]", 422, "body"),
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
    assert "\n" not in answer["detail"]
    assert ask(server, "/healthz")[0] == 200


def test_a_body_that_hides_its_size_is_cut_off(server):
    def chunks():
        for _ in range(11):
            yield b"x" * 1000

    status, answer = ask(server, "/predict", chunks())
    assert status == 413
    assert "more than 10,000 bytes" in answer["detail"]


def test_half_a_surrogate_pair_harms_nothing(server):
    status, _ = ask(server, "/predict", b'{"texts": ["\\ud800 the"]}')
    assert status in (200, 422)
    assert ask(server, "/healthz")[0] == 200


def test_two_hundred_at_once_are_all_answered(server, model):
    texts = [[f"the ab {i}", TEXTS[i % 4]] for i in range(200)]
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda some: ask(server, "/predict", {"texts": some}), texts))
    assert {status for status, _ in found} == {200}
    made = Student.load(model)
    for some, (_, answer) in zip(texts, found, strict=True):
        assert [row["label"] for row in answer["predictions"]] == made.predict(some).tolist()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_it_stops(model, stop):
    with serving(model) as (process, place):
        host, port = place.split(":")
        body = json.dumps({"texts": TEXTS}).encode()
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = [
                "POST /predict HTTP/1.1",
                "host: x",
                "content-type: application/json",
                f"content-length: {len(body)}",
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body[:10])
            assert ask(place, "/healthz")[0] == 200  # by now the beginning has been read
            process.send_signal(stop)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            connection.sendall(body[10:])
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        process.wait(10)
        assert "Traceback" not in process.stderr.read()


def test_a_taken_port_ends_in_one_line(model):
    with serving(model) as (_, place):
        command = [sys.executable, "-m", "potstill.cli", "serve", str(model), "--port", place.split(":")[1]]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith(f"error: {place} cannot be used")
