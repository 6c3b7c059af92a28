"""File formats of tables of texts, and detecting them from file names."""

import os
import re
from typing import Any, Literal, NamedTuple, get_args

from potstill.core.errors import PotstillError, missing_package

Format = Literal["txt", "csv", "tsv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
STANDARD = "-"  # the name of standard input and output

ENDINGS: dict[str, Format] = {
    "csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet", "pq": "parquet",
    "txt": "txt", "text": "txt",
}  # fmt: skip
NAMED = ", ".join(f".{ending}" for ending in ENDINGS if ending != "text") + "; each but Parquet also .gz or .zst"
"""The endings that can be read, for messages."""

_NAME = re.compile(rf"(?P<stem>.*)\.(?P<ending>{'|'.join(ENDINGS)})(?P<packed>\.gz|\.zst)?", re.IGNORECASE | re.DOTALL)


class Name(NamedTuple):
    """A file name without its endings, its format, and whether the file is compressed."""

    stem: str
    format: Format
    packed: bool


def parse(path: str) -> Name | None:
    """Parse a file name, ignoring the case of its endings; None if they belong to no format."""
    found = _NAME.fullmatch(os.path.basename(path))
    if not found:
        return None
    return Name(found["stem"], ENDINGS[found["ending"].lower()], found["packed"] is not None)


def format_of(path: str, given: Format | None, default: Format) -> Format:
    """Return the format of a file.

    Args:
        path: the file, or `-`.
        given: the format if it is known; None to detect it from the name.
        default: the format of standard input and output, and of pipes, devices and descriptors without an ending.

    Raises:
        PotstillError: the ending is unknown, or the path is that of a folder.
    """
    name = parse(path)
    if given or path == STANDARD:
        return given or default
    if name:
        return name.format
    if os.path.isdir(path):
        raise PotstillError(f"{path}: it is a folder. Name a file in it.")
    if _is_device(path) or (os.path.exists(path) and not os.path.isfile(path)):
        return default
    raise PotstillError(
        f"{path}: unknown ending (known: {NAMED}). Save it as one of these, or give the format: {', '.join(FORMATS)}."
    )


def _is_device(path: str) -> bool:
    """Return whether a path is that of a device or descriptor, such as /dev/stdout, even if it points to a file."""
    place = os.path.abspath(path)
    return place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/")  # an ordinary folder


def pyarrow(purpose: str = "Parquet files") -> Any:
    """Return the module pyarrow, with pyarrow.parquet, which is not in the base installation.

    Raises:
        PotstillError: it is not installed. The message gives the `purpose`.
    """
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise missing_package(f"pyarrow, which {purpose} require,", "parquet") from None
    return pyarrow
