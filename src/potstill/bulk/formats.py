"""The formats of tables of texts."""

from pathlib import Path
from typing import Any, Literal, get_args

from potstill.errors import PotstillError, lacking

Format = Literal["txt", "csv", "tsv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
STANDARD = "-"  # the name of standard input and output


def format_of(path: str, asked: Format | None, standard: Format) -> Format:
    """The format of a file: what was asked for, or what its name says, or for standard input and output `standard`.

    Raises:
        PotstillError: the name says nothing.
    """
    if asked or path == STANDARD:
        return asked or standard
    suffix = Path(path).suffix.lower().lstrip(".")
    found = {"text": "txt", "ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    for known in FORMATS:
        if found == known:
            return known
    raise PotstillError(f"{path}: its name tells no format, say one of {', '.join(FORMATS)}")


def pyarrow() -> Any:
    """Arrow with its Parquet part, which is no part of the base installation.

    Raises:
        PotstillError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise lacking("pyarrow, which reads and writes Parquet,", "parquet") from None
    return pyarrow
