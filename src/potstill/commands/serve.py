"""Serve predictions over HTTP: /predict, /model, /healthz, /metrics, /docs, and a page at /."""

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from potstill.commands import page
from potstill.commands.common import add_model, count, integer, load, number
from potstill.commands.inspect import describe
from potstill.core.errors import missing_package
from potstill.runtime.model import Classifier, Student
from potstill.terminal import Parser, text
from potstill.web.page import plain

if TYPE_CHECKING:
    from fastapi import FastAPI


def arguments(parser: Parser) -> None:
    """Add the options."""
    add_model(parser)
    add = parser.add_argument
    local = "address to listen at (default: %(default)s, this machine only)"
    add("--host", type=text, default="127.0.0.1", help=local)
    port = partial(integer, least=0, most=65535)
    add("--port", type=port, default=8000, help="0 for any free one (default: %(default)s)")
    workers = "processes that serve, each with the model in memory (default: %(default)s)"
    add("--workers", type=partial(integer, least=1, most=1024), metavar="N", default=1, help=workers)
    add("--access-log", action="store_true", help="write a line per request to standard output")
    add("--max-body", type=count, metavar="BYTES", default=1 << 22, help="bytes of a request (default: %(default)s)")
    add("--max-batch", type=count, metavar="N", default=1000, help="texts in a request (default: %(default)s)")
    add("--max-length", type=count, metavar="N", default=100_000, help="characters of a text (default: %(default)s)")
    add(
        "--max-connections",
        type=count,
        metavar="N",
        default=1000,
        help="open connections of a worker (default: %(default)s)",
    )
    add(
        "--timeout",
        type=partial(number, least=sys.float_info.min, most=86400, kind="a number of seconds, at most 86400"),
        default=30,
        metavar="SECONDS",
        help="time for a client to send a request, and to read the response (default: %(default)s)",
    )
    add(
        "--allowed-host",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="a Host header to accept; repeatable; * for any (always accepted: localhost, 127.0.0.1, [::1] and --host; "
        "unless --host is loopback, any IP address)",
    )


def run(args: argparse.Namespace) -> None:
    """Serve until interrupted."""
    try:
        from potstill.service import server
        from potstill.service.hosts import AllowedHosts
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "serve") from None
    _, content = load(args.model)
    listening = server.listen(args.host, args.port)
    make_app = partial(
        _app,
        content,
        hosts=AllowedHosts(listening.getsockname()[0], [args.host, *args.allowed_host]),
        max_body=args.max_body,
        max_batch=args.max_batch,
        max_length=args.max_length,
    )
    server.run(
        make_app,
        listening,
        timeout=args.timeout,
        max_connections=args.max_connections,
        workers=args.workers,
        access_log=args.access_log,
    )


def _app(content: bytes, **limits: Any) -> "FastAPI":
    """Return the app that serves a model file, see `potstill.service.app.create`."""
    from potstill.service.app import create

    student = Student.from_bytes(content)
    return create(student, describe(student, len(content)), front_page(student, content), **limits)


def front_page(student: Classifier, content: bytes) -> str:
    """Return the HTML of `/`: a page that classifies, or for a student that no browser runs, one that says so."""
    return page.render(student, content) if isinstance(student, Student) else plain(page.title(student))
