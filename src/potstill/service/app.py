"""The app: its paths and their responses."""

import json
import os
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

import potstill
from potstill.core.errors import PotstillError
from potstill.runtime.model import Classifier
from potstill.service import docs, requests
from potstill.service.errors import Problem, problem
from potstill.service.hosts import AllowedHosts
from potstill.service.metrics import CONTENT_TYPE, Metrics
from potstill.service.middleware import SMALL_BODY, RequestGuard
from potstill.service.predictor import Predictions, Predictor
from potstill.terminal import escaped

PATHS = ("/", "/docs", "/healthz", "/metrics", "/model", "/openapi.json", "/predict")
SMALL_RESPONSE = 10_000  # probabilities that are computed for it
JSON = "application/json"


def create(
    student: Classifier,
    description: dict[str, Any],
    page: str,
    *,
    hosts: AllowedHosts,
    max_body: int,
    max_batch: int,
    max_length: int,
) -> FastAPI:
    """Return the app; `app.state.metrics` are its metrics.

    Args:
        student: the student that classifies.
        description: the response of `/model`.
        page: the HTML of `/`.
        hosts: the accepted Host headers.
        max_body: bytes of a request's body.
        max_batch: texts in a request.
        max_length: characters of a text.

    Raises:
        PotstillError: the description cannot be written as JSON.
    """
    try:
        facts = escaped(json.dumps(description, ensure_ascii=False, allow_nan=False)).encode()
    except (ValueError, RecursionError) as error:
        message = f"the model's facts cannot be written as JSON ({error}). Export the student again."
        raise PotstillError(message) from None
    metrics = Metrics(PATHS, student)
    # The documentation pages of FastAPI load scripts from other hosts; `docs` has one that does not.
    app = FastAPI(title="potstill", version=potstill.__version__, docs_url=None, redoc_url=None)
    app.state.metrics = metrics
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)
    top_k = "1" if student.thresholds is None else "all"
    _add_predict(app, Predictor(student, metrics, max_batch), requests.request_model(max_batch, max_length, top_k))
    _add_others(app, facts, page)
    app.add_middleware(RequestGuard, max_body=max_body, hosts=hosts, metrics=metrics)
    return app


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    text = str(error.detail)
    if error.status_code == 404:
        text = f"path: not found. Paths: {', '.join(PATHS)}."
    elif error.status_code == 405:
        headers["Allow"] = headers["Allow"].replace("GET", "GET, HEAD")
        text = f"method: not allowed for this path. Allowed: {headers['Allow']}."
    return JSONResponse(problem(text), error.status_code, headers)


async def _defect(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(problem("the service failed. See its log."), 500)


def _add_predict(app: FastAPI, predictor: Predictor, model: type[requests.PredictRequest]) -> None:
    # More threads at a time would take more memory without being faster. Small requests need no limit, and do not wait
    # for large ones.
    large = CapacityLimiter(os.cpu_count() or 1)
    schema = {"required": True, "content": {JSON: {"schema": model.model_json_schema()}}}

    @app.post(
        "/predict",
        response_model=Predictions,
        openapi_extra={"requestBody": schema},
        responses={"4XX": {"model": Problem}},
    )
    async def predict(request: Request) -> Response:
        """Classify texts."""
        content = await requests.body(request)
        if len(content) > SMALL_BODY:  # parsing it here would hold up other requests
            batch = await to_thread.run_sync(requests.read, model, content, limiter=large)
        else:
            batch = requests.read(model, content)
        predictor.check_size(len(batch.texts), batch.top_k)
        predictor.check_abstain(batch.abstain)
        size = len(batch.texts) * len(predictor.student.labels)
        limiter = large if size > SMALL_RESPONSE else None
        response = await to_thread.run_sync(
            predictor.predict_json, batch.texts, batch.top_k, batch.abstain, limiter=limiter
        )
        return Response(response, media_type=JSON)


def _add_others(app: FastAPI, facts: bytes, page: str) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the service is alive (liveness probe)."""
        return {"status": "ok"}

    @app.get("/model", response_model=dict[str, Any])
    async def model() -> Response:
        """Describe the model, as `potstill inspect` does."""
        return Response(facts, media_type=JSON)

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(app.state.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(docs.page(app.openapi()))
