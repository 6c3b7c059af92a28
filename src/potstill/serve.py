"""A student as a service: `potstill serve`."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import potstill
from potstill.bulk.asked import Batch
from potstill.bulk.predict import answer
from potstill.errors import PotstillError
from potstill.runtime.decision import choose
from potstill.runtime.model import Student

SECONDS_TO_STOP = 30  # for requests in flight


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


class TooLarge(Exception):
    """A body has more bytes than are read."""


class Watched:
    """Counts requests, and reads no more than so many bytes of a body, whatever its headers say (ASGI middleware)."""

    def __init__(self, app: ASGIApp, most: int, note: Callable[[str, int, float], None]) -> None:
        self.app, self.most, self.note = app, most, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413; then note its path, status and seconds."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        start, read, status = time.perf_counter(), 0, 500
        refused = declared.isdigit() and int(declared) > self.most

        async def bounded() -> Message:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                refused = True
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if refused:
                return  # the app's own words about what it could not read
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            if not refused:
                await self.app(scope, bounded, noted)
        except TooLarge:
            pass
        finally:
            if refused:
                status = 413
                problem = {"detail": f"the body has more than {self.most:,} bytes: send fewer texts at once"}
                await JSONResponse(problem, status, {"connection": "close"})(scope, receive, send)
            self.note(scope["path"], status, time.perf_counter() - start)


def create(
    student: Student, known: dict[str, Any], page: str, *, max_body: int, max_batch: int, max_length: int
) -> FastAPI:
    """Make the service.

    Args:
        student: what answers.
        known: what `/model` says.
        page: the HTML at `/`.
        max_body: bytes of a request's body.
        max_batch: texts in a request.
        max_length: characters of a text.
    """
    registry = CollectorRegistry()
    requests = Counter("potstill_requests", "Requests answered", ["path", "status"], registry=registry)
    texts = Counter("potstill_texts", "Texts classified", ["label"], registry=registry)
    seconds = Histogram("potstill_request_seconds", "Time to answer", ["path"], registry=registry)

    usual = "1" if student.thresholds is None else "all"
    asked_for = f"how many classes to give a probability for ({usual})"

    class Texts(BaseModel):
        """Texts to classify."""

        texts: Annotated[list[Annotated[str, Field(max_length=max_length)]], Field(min_length=1, max_length=max_batch)]
        top_k: Annotated[int | None, Field(ge=1, description=asked_for)] = None

    # The pages for people that FastAPI offers load scripts from elsewhere.
    app = FastAPI(title="potstill", version=potstill.__version__, docs_url=None, redoc_url=None)
    paths = {"/", "/predict", "/healthz", "/model", "/metrics", "/openapi.json"}

    def note(path: str, status: int, took: float) -> None:
        path = path if path in paths else "other"
        requests.labels(path, status).inc()
        seconds.labels(path).observe(took)

    @app.exception_handler(RequestValidationError)
    async def explain(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()[:3]]
        return JSONResponse({"detail": "; ".join(problems)}, 422)

    def several(thresholds: list[float], asked: Texts) -> list[Labels]:
        scored = student.predict_proba(asked.texts)
        found = []
        for row, held in zip(scored, choose(scored, thresholds), strict=True):
            order = np.argsort(-row, kind="stable")
            labels = [student.labels[i] for i in order if held[i]]
            for label in labels:
                texts.labels(label).inc()
            shares = {student.labels[i]: round(float(row[i]), 6) for i in order[: asked.top_k]}
            found.append(Labels(labels=labels, probabilities=shares))
        return found

    @app.post("/predict")
    def predict(asked: Texts) -> Predictions:
        if student.thresholds is not None:
            return Predictions(predictions=several(student.thresholds, asked))
        answers = answer(student, Batch(asked.texts, ()), asked.top_k or 1, 0.0, False)
        found = []
        for ids, probabilities in zip(answers.ids.tolist(), answers.probabilities.tolist(), strict=True):
            shares = {student.labels[i]: round(share, 6) for i, share in zip(ids, probabilities, strict=True)}
            label = student.labels[ids[0]]
            texts.labels(label).inc()
            found.append(Prediction(label=label, probability=shares[label], probabilities=shares))
        return Predictions(predictions=found)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/model")
    async def model() -> dict[str, Any]:
        return known

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(page)

    app.add_middleware(Watched, most=max_body, note=note)
    return app


def run(app: FastAPI, host: str, port: int) -> None:
    """Serve until the process is told to stop; requests in flight are answered first.

    Raises:
        PotstillError: the address cannot be used.
    """
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=SECONDS_TO_STOP, server_header=False
    )
    server = uvicorn.Server(config)
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise PotstillError(f"{host}:{port} cannot be used: choose another --port") from None
    socket.listen(config.backlog)  # whoever reads the next line may connect at once
    where, chosen = socket.getsockname()[:2]
    print(f"http://{where}:{chosen}/ (stop it with Ctrl-C)", flush=True)
    server.run(sockets=[socket])
