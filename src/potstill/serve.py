"""A student as a service: `potstill serve`."""

import asyncio
import collections
import difflib
import errno
import gc
import ipaddress
import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, TypeVar, cast

import numpy as np
import uvicorn
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import potstill
from potstill.bulk.asked import Batch
from potstill.bulk.predict import top_labels
from potstill.bulk.rows import undecodable
from potstill.connection import AT_ONCE, Connection, Limits, problem, room
from potstill.errors import PotstillError, visible
from potstill.runtime.decision import choose
from potstill.runtime.model import Student
from potstill.terminal import escaped

SECONDS_TO_STOP = 30  # for requests in flight
QUEUED = 2048  # connections that the kernel holds until they are accepted
LARGE_BODIES = 32  # of the size allowed, held at a time; smaller ones than SMALL are not counted
SMALL = 1 << 16
PROBABILITIES = 100_000  # in an answer, or labels where a text may have several; about 2.5 MB
SMALL_ANSWER = 10_000  # probabilities that are computed for it
HOST = re.compile(r"(\[[^]]+\]|[^:]+)(?::[0-9]*)?")  # a Host header: a name or an address, and a port
NAME = re.compile(r"[A-Za-z0-9_.-]+|\*")
Model = TypeVar("Model", bound=BaseModel)


class Prediction(BaseModel):
    """The answer to a text: its most probable class, and the probability of each of those asked for."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Labels(BaseModel):
    """The answer to a text that may have several labels: those that it has, and the probability of those asked for."""

    labels: list[str]
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """The answers, in the order of the texts."""

    predictions: list[Prediction] | list[Labels]


class Problem(BaseModel):
    """What is wrong with a request, and what to do."""

    detail: str


def hosts(address: str, names: Iterable[str]) -> Callable[[str], bool]:
    """Return what says whether a Host header is answered.

    A page of another site can have its own name lead to this machine (DNS rebinding), and then read what the service
    answers; but its browser sends that name as the Host.

    Args:
        address: what the service listens at. At loopback, only the names of loopback are answered; elsewhere, any
            address, which is nobody's name.
        names: what is answered too; `*` for anything.

    Raises:
        PotstillError: one of `names` is not a name.
    """
    known = {"localhost", "127.0.0.1", "[::1]"}
    for name in [address, *names]:
        if not NAME.fullmatch(name) and not _is_address(name):
            raise PotstillError(f"--allowed-host: must be a host name without scheme and port (found: {name!r})")
        known.add(f"[{name.lower()}]" if ":" in name else name.lower())
    local = ipaddress.ip_address(address).is_loopback

    def answered(header: str) -> bool:
        found = HOST.fullmatch(header.lower())
        return found is not None and (
            found[1] in known or "*" in known or (not local and _is_address(found[1].strip("[]")))
        )

    return answered


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class Watched:
    """Counts requests, checks their Host, and bounds what is read of their bodies (ASGI middleware)."""

    def __init__(
        self, app: ASGIApp, most: int, answered: Callable[[str], bool], note: Callable[[str, int, float], None]
    ) -> None:
        self.app, self.most, self.answered, self.note = app, most, answered, note
        self.held = 0  # bytes of the bodies of all requests that are not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, HEAD as GET, or refuse it; then note its path, status and seconds."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, read, status = time.perf_counter(), 0, 500

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HTTPException(scope.get("refused", 408), "the client left before the request was complete.")
            more = len(message.get("body", b""))
            read += more
            self.held += more
            if read > self.most:
                raise self.too_large()
            if read > SMALL and self.held > LARGE_BODIES * self.most:
                raise HTTPException(503, "the service reads too many large requests. Try again later.")
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            self.check(dict(scope["headers"]))
            asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await self.app(asked, bounded, noted)
        except HTTPException as error:
            response = JSONResponse(problem(error.detail), error.status_code, dict(error.headers or {}))
            await response(scope, receive, noted)
        finally:
            self.held -= read
            self.note(scope["path"], status, time.perf_counter() - start)

    def check(self, headers: dict[bytes, bytes]) -> None:
        """Refuse another's name, and a body that is declared to be too large.

        Without a Host, which HTTP/1.0 allows, it is not a browser that asks.
        """
        host = headers.get(b"host", b"localhost").decode("latin-1")
        if not self.answered(host):
            raise HTTPException(
                400, f"host: {host[:100]!r} is not answered. Name it with --allowed-host if it is yours."
            )
        if b"content-length" in headers and b"transfer-encoding" in headers:  # a proxy may go by the other one
            raise HTTPException(400, "content-length, transfer-encoding: send only one.", {"connection": "close"})
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.most:
            raise self.too_large()

    def too_large(self) -> HTTPException:
        """What is raised where there are too many bytes."""
        return HTTPException(413, f"the body has more than {self.most:,} bytes. Send fewer texts at once.")


async def body(request: Request) -> bytes:
    """Read the JSON that a request brings.

    Raises:
        HTTPException: 415 if it is sent as something else.
    """
    coding = ", ".join(request.headers.getlist("content-encoding")) or "identity"
    if coding.lower() != "identity":
        raise HTTPException(
            415,
            f"content-encoding: {coding[:50]!r} is not read. Send the body uncompressed.",
            {"accept-encoding": "identity"},
        )
    kind = request.headers.get("content-type", "missing").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/(.+\+)?json", kind):
        raise HTTPException(
            415,
            f"content-type: must be application/json (found: {kind[:50] or 'empty'}).",
            {"accept": "application/json"},
        )
    return await request.body()


def parse(content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Objects within it, which no request needs, become tuples: a Python function for each of a million takes too long.

    Raises:
        HTTPException: 422 if it is none, or has a key twice.
    """
    gc.disable()  # going through a million lists again and again, it would hold up all other requests
    try:
        found = json.loads(content.decode(json.detect_encoding(content)), object_pairs_hook=tuple)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise HTTPException(422, f"body: JSON decode error: {error}.") from None
    except RecursionError:
        raise HTTPException(422, "body: JSON is nested too deeply.") from None
    except ValueError:
        raise HTTPException(422, "body: a number has too many digits.") from None
    finally:
        gc.enable()
    if not isinstance(found, tuple):
        raise HTTPException(422, 'body: must be a JSON object, such as {"texts": ["one", "another"]}.')
    values = dict(found)
    if len(values) < len(found):
        twice = collections.Counter(key for key, _ in found).most_common(1)[0][0]
        raise HTTPException(422, f"body: key {twice[:50]!r} is there twice. Leave one out.")
    return values


def checked(model: type[Model], found: dict[str, Any]) -> Model:
    """Return what a JSON object holds as a `model`.

    Raises:
        HTTPException: 422, with the place of what is wrong.
    """
    known = list(model.model_fields)
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key[:50], known, 1)
            advice = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            raise HTTPException(422, f"body: unknown key {key[:50]!r}. {advice}")
    try:
        return model.model_validate(found)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        said = [f"body.{'.'.join(map(str, each['loc']))}: {_fault(each)}" for each in wrong]
        raise HTTPException(422, "; ".join(said)) from None


def _fault(error: Any) -> str:
    """What pydantic says is wrong; of half of a surrogate pair, what `predict` says."""
    if error["type"] == "string_unicode" and (fault := undecodable([error["input"]], None)):
        return fault
    return str(error["msg"])


def create(
    student: Student,
    known: dict[str, Any],
    page: str,
    *,
    answered: Callable[[str], bool],
    max_body: int,
    max_batch: int,
    max_length: int,
) -> FastAPI:
    """Make the service.

    Args:
        student: what answers.
        known: what `/model` says.
        page: the HTML at `/`.
        answered: says which Host headers are, see `hosts`.
        max_body: bytes of a request's body.
        max_batch: texts in a request.
        max_length: characters of a text.

    Raises:
        PotstillError: what `/model` says is not JSON.
    """
    try:
        described = escaped(json.dumps(known, ensure_ascii=False, allow_nan=False)).encode()
    except (ValueError, RecursionError) as error:
        raise PotstillError(
            f"the model's facts cannot be written as JSON ({error}): export the student again"
        ) from None
    registry = CollectorRegistry()
    requests = Counter("potstill_requests", "Requests answered", ["path", "status"], registry=registry)
    texts = Counter("potstill_texts", "Texts classified", ["label"], registry=registry)
    seconds = Histogram("potstill_request_seconds", "Time to answer", ["path"], registry=registry)

    usual, named = (1, "1") if student.thresholds is None else (len(student.labels), "all")
    asked_for = f"how many classes to give a probability for ({named})"

    class Texts(BaseModel):
        """Texts to classify."""

        model_config = ConfigDict(strict=True, extra="forbid")
        # Only the first bad text is named: there may be a million, each as an error of its own.
        texts: Annotated[
            list[Annotated[str, Field(max_length=max_length)]],
            Field(min_length=1, max_length=max_batch, fail_fast=True),
        ]
        top_k: Annotated[int | None, Field(ge=1, description=asked_for)] = None

    # The pages for people that FastAPI offers load scripts from elsewhere.
    app = FastAPI(title="potstill", version=potstill.__version__, docs_url=None, redoc_url=None)
    paths = {"/", "/predict", "/healthz", "/model", "/metrics", "/openapi.json"}

    def note(path: str, status: int, took: float) -> None:
        path = path if path in paths else "other"
        requests.labels(path, status).inc()
        seconds.labels(path).observe(took)

    def count(status: int) -> None:
        requests.labels("other", status).inc()

    @app.exception_handler(HTTPException)
    async def explain(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        text = str(error.detail)
        if error.status_code == 404:
            text = f"path: nothing is served here. Paths: {', '.join(sorted(paths))}."
        elif error.status_code == 405:
            headers["Allow"] = headers["Allow"].replace("GET", "GET, HEAD")
            text = f"method: not answered at this path. Allowed: {headers['Allow']}."
        return JSONResponse(problem(text), error.status_code, headers)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(problem("the service failed. Its log says why."), 500)

    most = max(PROBABILITIES, max_batch)
    # More at a time would take more memory, and not be faster. Small ones neither do so nor wait for large ones.
    large = CapacityLimiter(os.cpu_count() or 1)

    def limiter(rows: int) -> CapacityLimiter | None:
        return large if rows * len(student.labels) > SMALL_ANSWER else None

    def read(content: bytes) -> Texts:
        return checked(Texts, parse(content))

    def bounded(rows: int, top: int | None) -> None:
        each = min(top or usual, len(student.labels))
        if rows * each > most:
            without = "" if top else " (all classes, without top_k)"
            raise HTTPException(
                422,
                f"body.top_k: {rows:,} texts with {each:,} probabilities each{without} are more than the {most:,} of "
                f"an answer. Set top_k to at most {most // rows:,}, or send at most {most // each:,} texts.",
            )

    def tally(counts: np.ndarray) -> None:
        for i in np.flatnonzero(counts):
            texts.labels(visible(student.labels[i])).inc(int(counts[i]))

    def several(thresholds: list[float], asked: Texts) -> list[Labels]:
        scored = student.predict_proba(asked.texts)
        finite(scored)
        chosen = choose(scored, thresholds)
        if (held := int(chosen.sum())) > most:
            raise HTTPException(
                422, f"body.texts: they have {held:,} labels, more than the {most:,} of an answer. Send fewer texts."
            )
        found = []
        for row, has in zip(scored, chosen, strict=True):
            order = np.argsort(-row, kind="stable")
            labels = [student.labels[i] for i in order if has[i]]
            shares = {student.labels[i]: round(float(row[i]), 6) for i in order[: asked.top_k]}
            found.append(Labels(labels=labels, probabilities=shares))
        tally(chosen.sum(0))
        return found

    def answers(asked: Texts) -> Predictions:
        if student.thresholds is not None:
            return Predictions(predictions=several(student.thresholds, asked))
        best = top_labels(student, Batch(asked.texts, ()), min(asked.top_k or 1, len(student.labels)), 0.0, False)
        finite(best.probabilities)
        found = []
        for ids, probabilities in zip(best.ids.tolist(), best.probabilities.tolist(), strict=True):
            shares = {student.labels[i]: round(share, 6) for i, share in zip(ids, probabilities, strict=True)}
            label = student.labels[ids[0]]
            found.append(Prediction(label=label, probability=shares[label], probabilities=shares))
        tally(np.bincount(best.ids[:, 0], minlength=len(student.labels)))
        return Predictions(predictions=found)

    schema = {"required": True, "content": {"application/json": {"schema": Texts.model_json_schema()}}}

    @app.post(
        "/predict",
        response_model=Predictions,
        openapi_extra={"requestBody": schema},
        responses={"4XX": {"model": Problem}},
    )
    async def predict(request: Request) -> Response:
        content = await body(request)
        if len(content) > SMALL:  # which takes long enough to hold up other requests
            asked = await to_thread.run_sync(read, content, limiter=large)
        else:
            asked = read(content)
        rows = len(asked.texts)
        bounded(rows, asked.top_k)
        said = await to_thread.run_sync(lambda: escaped(answers(asked).model_dump_json()), limiter=limiter(rows))
        return Response(said, media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/model", response_model=dict[str, Any])
    async def model() -> Response:
        return Response(described, media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(page)

    app.add_middleware(Watched, most=max_body, answered=answered, note=note)
    app.state.count = count
    return app


def finite(probabilities: np.ndarray) -> None:
    """Refuse to answer with what is not a number, which JSON cannot hold.

    Raises:
        HTTPException: 500, since the model is to blame.
    """
    if not np.isfinite(probabilities).all():
        raise HTTPException(500, "the model gives probabilities that are not numbers. Export the student again.")


def listen(host: str, port: int) -> socket.socket:
    """Take an address to serve at.

    Raises:
        PotstillError: it cannot be used.
    """
    try:
        if not host:
            raise socket.gaierror("it is empty")
        # A name may lead to addresses of both kinds; most clients try the older one.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listening = socket.create_server(address[:2], family=family, backlog=QUEUED, dualstack_ipv6=both)
    except (socket.gaierror, UnicodeError):
        raise PotstillError(f"--host: must be an address or a name of this machine (found: {host!r})") from None
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason = os.strerror(error.errno or 0)
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise PotstillError(f"{where} cannot be used ({reason}): choose another {other}") from None
    # Connections inherit it. Otherwise the kernel holds the end of an answer back until the client has acknowledged its
    # beginning, 40 ms later; asyncio does not set it on a socket without a number of its protocol.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; then let the kernel queue more connections than asyncio accepts at once, which uvicorn makes equal."""
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(QUEUED)


class _Visible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Escape what clients sent, line by line."""
        return "\n".join(map(visible, super().format(record).split("\n")))


def run(app: FastAPI, listening: socket.socket, *, seconds: float, connections: int) -> None:
    """Serve until the process is told to stop; requests in flight are answered first.

    Args:
        app: what `create` made.
        listening: what `listen` took.
        seconds: how long a client may take to send a request, and to read an answer.
        connections: at a time.
    """
    log = logging.StreamHandler()
    log.setFormatter(_Visible())
    logging.basicConfig(handlers=[log])
    limits = Limits(seconds, room(connections), app.state.count)
    config = uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(Connection, limits=limits)),
        loop="asyncio",
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=AT_ONCE,
        timeout_graceful_shutdown=SECONDS_TO_STOP,
    )
    where, port = listening.getsockname()[:2]
    with suppress(OSError):  # nobody may be left to read it
        print(f"http://{f'[{where}]' if ':' in where else where}:{port}/ (stop it with Ctrl-C)", flush=True)
    _Server(config).run(sockets=[listening])
