"""The service as a process of its own, over real sockets."""

import asyncio
import dataclasses
import errno
import gzip
import http.client
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from unittest.mock import Mock
from urllib.parse import urlsplit

import numpy as np
import pytest
from starlette.responses import JSONResponse

from potstill import cli
from potstill.commands import page
from potstill.core.errors import PotstillError
from potstill.runtime.model import Student
from potstill.service import app as service
from potstill.service import predictor, requests
from potstill.service import server as servers
from potstill.service.hosts import AllowedHosts
from potstill.service.middleware import SMALL_BODY, RequestGuard
from tests.students import student

pytestmark = pytest.mark.slow
TEXTS = ["the ab not good", "", "日本 ça ☕", "unheard of"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("bigru").save(path)
    return path


@contextmanager
def serving(model, *options, files=None):
    """A server, and where it is; it may open no more than so many files."""

    def limit():
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    command = [sys.executable, "-m", "potstill", "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
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
        ({"texts": ["a"], "lang": "en"}, 422, "body: unknown key 'lang'. Known keys: texts, top_k."),
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


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        ({"content-type": "text/plain"}, 415, "content-type: must be application/json (found: text/plain)."),
        ({"content-type": ""}, 415, "content-type: must be application/json (found: empty)."),
        ({"content-type": ";charset=utf-8"}, 415, "(found: empty)."),
        ({"content-type": "a/\x1b[31m"}, 415, r"(found: a/\x1b[31m)."),
        ({"content-type": "application/JSON; charset=utf-8"}, 200, None),
        ({"content-encoding": "gzip"}, 415, "content-encoding: 'gzip' is not supported. Send the body uncompressed."),
        ({"content-encoding": "identity"}, 200, None),
        ({"host": "evil.example"}, 400, "host: 'evil.example' is not allowed."),
        ({"host": "LocalHost:1"}, 200, None),
        ({"transfer-encoding": "chunked", "content-length": "5"}, 400, "send only one"),
    ],
)
def test_headers_are_checked(server, headers, status, detail):
    body = b'{"texts": ["a"]}'
    if headers.get("content-encoding") == "gzip":
        body = gzip.compress(body)
    found, answer = ask(server, "/predict", body, **headers)
    assert found == status
    assert detail is None or detail in answer["detail"]


def test_a_missing_content_type_is_named(server):
    connection = http.client.HTTPConnection(server, timeout=30)
    connection.request("POST", "/predict", b"{}")
    answer = connection.getresponse()
    assert answer.status == 415
    assert "application/json (found: missing)" in json.load(answer)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/", 200, None),
        ("HEAD", "/healthz", 200, None),
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


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_at_loopback_only_its_names_are_answered(address):
    hosts = AllowedHosts(address, ["demo.example"])
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]", "[::1]:8000", "Demo.example:8000"):
        assert hosts.accept(host)
    for host in ("", ":80", "evil.example", "10.0.0.1", "localhost.evil.example", "a@localhost", "localhost:x", "::1"):
        assert not hosts.accept(host)
    assert AllowedHosts(address, ["*"]).accept("evil.example")


def test_elsewhere_addresses_are_answered_too():
    hosts = AllowedHosts("0.0.0.0", ["fe80::1"])
    for host in ("10.0.0.1:8000", "[2001:db8::1]:80", "[fe80::1]", "localhost"):
        assert hosts.accept(host)
    assert not hosts.accept("evil.example")
    for name in ("http://a", "a:80", "a b", "", "*.a"):
        with pytest.raises(PotstillError, match="--allowed-host: must be a host name"):
            AllowedHosts("0.0.0.0", [name])


def call(app, path, body=None):
    """Status and body of an answer without a server."""
    return asyncio.run(called(app, path, body))


async def called(app, path, body=None):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body or b""}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST" if body else "GET", "path": path, "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def made(student, known, **limits):
    limits = {"max_body": 10_000, "max_batch": 100, "max_length": 200} | limits
    return service.create(student, known, "a page", hosts=AllowedHosts("127.0.0.1", []), **limits)


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


def test_a_batch_that_is_allowed_is_answered(monkeypatch):
    monkeypatch.setattr(predictor, "PROBABILITIES", 12)
    assert call(made(student("bigru"), {}), "/predict", json.dumps({"texts": ["a"] * 100}).encode())[0] == 200


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


def test_large_bodies_are_held_in_bounded_memory():
    statuses = []

    async def late(scope, receive, send):
        await receive()
        await asyncio.sleep(0.1)
        await JSONResponse({})(scope, receive, send)

    metrics = Mock(count_request=lambda path, status, seconds: statuses.append(status))
    guard = RequestGuard(late, 100_000, AllowedHosts("127.0.0.1", []), metrics)

    async def post(size):
        async def receive():
            return {"type": "http.request", "body": b"x" * size}

        async def send(message):
            pass

        await guard({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)

    async def all_at_once():
        await asyncio.gather(*(post(100_000) for _ in range(40)), *(post(1000) for _ in range(5)))

    asyncio.run(all_at_once())
    assert Counter(statuses) == {200: 32 + 5, 503: 8}
    assert guard.held == 0


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


def test_a_kept_connection_is_answered_at_once(server):
    connection = http.client.HTTPConnection(server, timeout=30)
    start = time.monotonic()
    for _ in range(50):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_half_a_request_does_not_delay_its_end(model, stop):
    with serving(model) as (process, place):
        host, port = place.split(":")
        body = json.dumps({"texts": TEXTS}).encode()
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = [
                "POST /predict HTTP/1.1",
                "host: localhost",
                "content-type: application/json",
                f"content-length: {len(body)}",
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body[:10])
            assert ask(place, "/healthz")[0] == 200  # by now the beginning has been read
            process.send_signal(stop)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            assert process.wait(5) in (-stop, 128 + stop)
        assert process.stderr.read() == ""


def test_held_connections_stop_neither_the_service_nor_its_end(model):
    with serving(model, files=160) as (process, place), ExitStack() as stack:
        host, port = place.split(":")
        for number in range(200):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.sendall(b"GET / HT"[: number % 9])
        assert ask(place, "/predict", {"texts": ["the"]})[0] == 200
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
        assert process.stderr.read() == ""


def test_a_taken_port_ends_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PotstillError, match=rf"^127.0.0.1:{port} cannot be used .*\. Choose another --port\.$"):
            servers.listen("127.0.0.1", port)


@pytest.mark.parametrize(
    "host", ["", "no such host", "127.0.0.1:80", "http://localhost", "a" * 100 + ".example", "é\0"]
)
def test_a_host_that_is_none_is_told(host):
    with pytest.raises(PotstillError, match="--host: must be an address or a name of this machine"):
        servers.listen(host, 0)


def test_other_refusals_of_an_address_are_told(monkeypatch):
    with pytest.raises(PotstillError, match=r"192.0.2.1:0 cannot be used .*\. Choose another --host"):
        servers.listen("192.0.2.1", 0)
    for number, reason, other in (
        (errno.EACCES, "Permission denied", "--port"),
        (errno.EADDRINUSE, "Address already in use", "--port"),
        (errno.EINVAL, "Invalid argument", "--host"),  # fe80::1%lo
        (errno.EAFNOSUPPORT, "Address family not supported by protocol", "--host"),
    ):
        monkeypatch.setattr(socket, "create_server", Mock(side_effect=OSError(number, "told by create_server")))
        with pytest.raises(
            PotstillError, match=rf"^127.0.0.1:80 cannot be used \({reason}\)\. Choose another {other}\.$"
        ):
            servers.listen("127.0.0.1", 80)


def test_ipv6(model, capsys, monkeypatch):
    try:
        listening = servers.listen("::1", 0)
    except PotstillError:
        pytest.skip("this machine has no IPv6")
    with listening:
        monkeypatch.setattr(servers._Server, "run", lambda self, sockets: None)
        servers.run(made(Student.load(model), {}), listening, timeout=1, max_connections=10)
        port = listening.getsockname()[1]
    assert capsys.readouterr().out == f"http://[::1]:{port}/ (stop it with Ctrl-C)\n"


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--port", "99999", "argument --port: must be an integer from 0 to 65535 (found: '99999')"),
        ("--port", "-1", "argument --port: must be an integer from 0 to 65535 (found: '-1')"),
        ("--port", "x", "argument --port: must be an integer from 0 to 65535 (found: 'x')"),
        ("--max-length", "1e20", "must be an integer from 1 to 2147483647 (found: '1e20')"),
        ("--max-batch", "9" * 5000, "must be an integer from 1 to 2147483647 (found: '999"),
        ("--max-body", "0", "must be an integer from 1"),
        ("--timeout", "nan", "argument --timeout: must be a number of seconds, at most 86400 (found: 'nan')"),
        ("--timeout", "0", "must be a number of seconds"),
        ("--\x1b[31m", "x", r"unrecognized arguments: --\x1b[31m x"),
    ],
)
def test_bad_options_end_in_one_line(option, value, line, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.execute(["serve", "x.pot", option, value])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert line in said
    assert said.count("\n") == 1
    assert len(said) < 300
