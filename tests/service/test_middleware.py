"""Headers and sizes of requests."""

import asyncio
import gzip
import http.client
import json
from collections import Counter
from unittest.mock import Mock

import pytest
from starlette.responses import JSONResponse

from potstill.service.hosts import AllowedHosts
from potstill.service.middleware import RequestGuard
from tests.serving import ask

pytestmark = pytest.mark.slow


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
