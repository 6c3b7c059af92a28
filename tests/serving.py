"""The service as a process of its own or without a server, and requests to it."""

import asyncio
import http.client
import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

from potstill.service import app as service
from potstill.service.hosts import AllowedHosts

TEXTS = ["the ab not good", "", "日本 ça ☕", "unheard of"]


@contextmanager
def serving(path, *options, files=None):
    """A server, and where it is; it may open no more than so many files."""

    def limit():
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    command = [sys.executable, "-m", "potstill", "serve", str(path), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read()
        yield process, urlsplit(line.split()[0]).netloc
    finally:
        process.kill()
        process.wait()


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
