"""Read and validate the body of a request for predictions."""

import collections
import gc
import json
import re
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from potstill.readers.rows import undecodable
from potstill.terminal import suggestion


class PredictRequest(BaseModel):
    """Texts to classify."""

    model_config = ConfigDict(strict=True, extra="forbid")
    texts: list[str]
    top_k: int | None = None
    abstain: bool = False


def request_model(max_batch: int, max_length: int, default: str) -> type[PredictRequest]:
    """Return the type of requests within the limits of a service.

    Args:
        max_batch: texts in a request.
        max_length: characters of a text.
        default: what a request without `top_k` means.
    """

    class Texts(PredictRequest):
        """Texts to classify."""

        # Only the first invalid text is reported: there may be a million, each an error of its own.
        texts: list[Annotated[str, Field(max_length=max_length)]] = Field(
            min_length=1, max_length=max_batch, fail_fast=True
        )
        top_k: int | None = Field(None, ge=1, description=f"how many classes to give a probability for ({default})")
        abstain: bool = Field(False, description="whether the label is null where the model's guarantee does not hold")

    return Texts


async def body(request: Request) -> bytes:
    """Return the body of a request that sends JSON.

    Raises:
        HTTPException: 415, it sends something else.
    """
    coding = ", ".join(request.headers.getlist("content-encoding")) or "identity"
    if coding.lower() != "identity":
        detail = f"content-encoding: {coding[:50]!r} is not supported. Send the body uncompressed."
        raise HTTPException(415, detail, {"accept-encoding": "identity"})
    kind = request.headers.get("content-type", "missing").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/(.+\+)?json", kind):
        detail = f"content-type: must be application/json (found: {kind[:50] or 'empty'})."
        raise HTTPException(415, detail, {"accept": "application/json"})
    return await request.body()


def parse(content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Objects within it, which no request needs, become tuples: calling a Python function for each of a million would take
    too long.

    Raises:
        HTTPException: 422, it is not one, or has a duplicate key.
    """
    gc.disable()  # it would go through a million lists again and again, and hold up all other requests
    try:
        pairs = json.loads(content.decode(json.detect_encoding(content)), object_pairs_hook=tuple)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise HTTPException(422, f"body: JSON decode error: {error}.") from None
    except RecursionError:
        raise HTTPException(422, "body: JSON is nested too deeply.") from None
    except ValueError:
        raise HTTPException(422, "body: a number has too many digits.") from None
    finally:
        gc.enable()
    if not isinstance(pairs, tuple):
        raise HTTPException(422, 'body: must be a JSON object, such as {"texts": ["one", "another"]}.')
    values = dict(pairs)
    if len(values) < len(pairs):
        duplicate = collections.Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise HTTPException(422, f"body: duplicate key {duplicate[:50]!r}. Leave one out.")
    return values


def read(model: type[PredictRequest], content: bytes) -> PredictRequest:
    """Return a body as a `model`.

    Raises:
        HTTPException: 422, with the path of each invalid value.
    """
    values = parse(content)
    known = list(model.model_fields)
    for key in values:
        if key not in known:
            advice = suggestion(key[:50], known) or f"Known keys: {', '.join(known)}."
            raise HTTPException(422, f"body: unknown key {key[:50]!r}. {advice}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        messages = [f"body.{'.'.join(map(str, each['loc']))}: {_message(each)}" for each in errors]
        raise HTTPException(422, "; ".join(messages)) from None


def _message(error: Any) -> str:
    """Return pydantic's message; for a lone surrogate, that of `potstill predict`."""
    if error["type"] == "string_unicode" and (fault := undecodable([error["input"]], None)):
        return fault
    return str(error["msg"])
