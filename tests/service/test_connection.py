"""Connections that clients hold, over real sockets, with a server in a thread."""

import asyncio
import json
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import pytest
import uvicorn

from potstill.core.errors import PotstillError
from potstill.service import connection, errors
from potstill.service.connection import Connection, Limits

SECONDS = 0.4
LARGE = b"x" * 10_000_000  # more than the kernel buffers
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
HALVES = [b"G", HEAD, HEAD + b"X: y\r\n" * 9, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"]


async def app(scope, receive, send):
    """Answers a GET at once, /slow after half the time allowed and more, and a POST when its body is complete."""
    if scope["method"] == "POST":
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * SECONDS)
    content = LARGE if scope["path"] == "/large" else b"done"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def serving(most=1000, seconds=SECONDS):
    """Where a server listens, and the statuses that it counted."""
    counted = []
    limits = Limits(seconds, most, counted.append)
    config = uvicorn.Config(
        app,
        port=0,
        http=partial(Connection, limits=limits),
        loop="asyncio",
        lifespan="off",
        ws="none",
        log_level="critical",
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname(), counted
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()
    assert not limits.waiting


@pytest.fixture(scope="module")
def place():
    with serving() as (place, _):
        yield place


def connect(place):
    return socket.create_connection(place, timeout=10)


def rest(client):
    """What is read until the server closes the connection, or resets it: TCP does, if part of a request is unread."""
    found = b""
    with suppress(ConnectionError):
        while part := client.recv(1 << 16):
            found += part
    return found


@pytest.mark.slow
def test_a_complete_request_is_answered_however_long_it_takes(place):
    with connect(place) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" + HEAD + b"\r\n")
        assert rest(client).count(b"200 OK") == 2  # and the next one too


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_ends_with_a_line_that_says_why(place, half):
    with connect(place) as client:
        client.sendall(half)
        start = time.monotonic()
        head, _, body = rest(client).partition(b"\r\n\r\n")
        assert SECONDS / 2 < time.monotonic() - start < 10 * SECONDS
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n")
    assert b"connection: close" in head
    assert "not complete within 0.4 seconds" in json.loads(body)["detail"]


def test_head_and_body_are_sent_together(place):
    with connect(place) as client:
        for method in (b"GET", b"HEAD", b"GET"):
            client.sendall(HEAD.replace(b"GET", method) + b"\r\n")
            answer = client.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.partition(b"\r\n\r\n")[2] == (b"" if method == b"HEAD" else b"done")


@pytest.mark.slow
def test_an_idle_connection_is_closed_in_silence(place):
    with connect(place) as client:
        assert rest(client) == b""
    with connect(place) as client:  # after a request it has its time again
        time.sleep(SECONDS / 2)
        client.sendall(HEAD + b"\r\n")
        start = time.monotonic()
        assert rest(client).endswith(b"done")
        assert time.monotonic() - start > SECONDS * 0.9


def test_a_body_in_small_pieces_is_read(place):
    post = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"1\r\nx\r\n" * (connection.MAX_CHUNKS - 1) + b"0\r\n\r\n"
    with connect(place) as client:
        client.sendall((post + chunks) * 2)  # they are counted for each request
        assert rest(client).count(b"200 OK") == 2


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"])
def test_a_byte_now_and_then_buys_no_time(place, sent):
    with connect(place) as client:
        client.sendall(sent)
        start = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - start < 20:
                client.sendall(b"x")
                time.sleep(SECONDS / 10)
        assert time.monotonic() - start < 10 * SECONDS


@pytest.mark.slow
def test_a_client_that_does_not_read_is_dropped(place):
    with connect(place) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        time.sleep(2 * SECONDS)
        assert len(rest(client)) < len(LARGE)


def test_unread_answers_are_held_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(connection, "MAX_UNREAD", len(LARGE))
    with serving(seconds=60) as (place, _), ExitStack() as stack:
        clients = [stack.enter_context(connect(place)) for _ in range(8)]
        for client in clients:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.recv(1)
        read = [len(rest(client)) > len(LARGE) for client in clients]
    assert not read[0]
    assert read[-1]
    assert read == sorted(read)  # those that have waited longest are closed


@pytest.mark.slow
def test_only_complete_requests_delay_the_end():
    def late(client):
        time.sleep(2 * SECONDS)
        return rest(client)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        with serving(seconds=60) as (place, counted):
            slow, large, *clients = [stack.enter_context(connect(place)) for _ in range(2 + len(HALVES))]
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            large.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            for client, half in zip(clients, HALVES, strict=True):
                client.sendall(half)
            time.sleep(SECONDS / 4)
            read = pool.submit(late, large)
        for client in clients:
            head, _, body = rest(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert "stopped before the request was complete" in json.loads(body)["detail"]
        assert rest(slow).endswith(b"done")
        assert read.result().endswith(LARGE)
    assert counted == [503] * 3  # the app counts that of the half body


def test_many_held_connections_keep_nobody_out():
    with serving(most=20, seconds=60) as (place, counted), ExitStack() as stack:
        held = [stack.enter_context(connect(place)) for _ in range(100)]
        for client in held[::2]:
            client.send(HEAD)
        with connect(place) as client:
            client.sendall(HEAD + b"Connection: close\r\n\r\n")
            assert rest(client).endswith(b"done")
        for client in held[:-20]:
            assert rest(client)[:20] in (b"", b"HTTP/1.1 503 Service")
    assert set(counted) <= {503}


@pytest.mark.slow
def test_requests_in_progress_do_not_make_room():
    with serving(most=1) as (place, counted), connect(place) as first:
        first.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(SECONDS / 4)
        with connect(place) as second:
            assert b"Try again later" in rest(second)
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
    assert counted == [503]


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host: header"),
        (HEAD + b"Host: y\r\n\r\n", 400, "multiple Host"),
        (b"\x16\x03\x01\x1b[31m\r\n\r\n", 400, "illegal request line)"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400, "conflicting"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"1\r\nx\r\n" * connection.MAX_CHUNKS * 2,
            400,
            "too many chunks",
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "Only Transfer-Encoding: chunked"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "illegal chunk header)"),
    ],
)
def test_what_is_not_http_is_told_why(place, request_, status, reason):
    with connect(place) as client:
        client.sendall(request_)
        head, _, body = rest(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert reason in json.loads(body)["detail"]


def test_errors_are_short_and_safe_for_a_terminal():
    said = errors.problem("\x1b[31m" + "x" * 10_000)["detail"]
    assert said.startswith(r"\x1b[31mx")
    assert len(said) == errors.MAX_LENGTH


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "raised"),
    [
        (5000, 5000, 1000, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1000, None),
        (256, 5000, 1000, 1100),
        (256, resource.RLIM_INFINITY, 1000, 1100),
        (1024, 1024, 924, 1024),
        (160, 160, 60, 160),
        (64, 150, 50, 150),
    ],
)
def test_connections_stay_below_the_limit_of_open_files(monkeypatch, soft, hard, allowed, raised):
    found = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: found.append(limits))
    assert connection.allowed_connections(1000) == allowed
    assert found == ([] if raised is None else [(raised, hard)])


@pytest.mark.parametrize(("most", "least"), [(1000, 150), (5, 105)])
def test_too_low_a_limit_of_open_files_is_told(monkeypatch, most, least):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    with pytest.raises(
        PotstillError, match=rf"too low \(found: 64\)\. Raise it to at least {least} with `ulimit -n`\.$"
    ):
        connection.allowed_connections(most)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (least, least))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    assert connection.allowed_connections(most) == least - connection.RESERVED_FILES
