"""Names of the columns of the text, as parameters give them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("must not list a column twice")
    return names


Columns = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_listed),
    Field(min_length=1),
    AfterValidator(_distinct),
]
"""A name, or a list of several columns that are joined, see `request.join`."""
