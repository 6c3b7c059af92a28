"""The body of every error response."""

from pydantic import BaseModel

from potstill.core.errors import visible

MAX_LENGTH = 500  # characters


class Problem(BaseModel):
    """What is wrong with a request, and what to do."""

    detail: str


def problem(text: str) -> dict[str, str]:
    """Return the body of an error: one short line, safe for a terminal, whatever it quotes."""
    return {"detail": visible(text)[:MAX_LENGTH]}
