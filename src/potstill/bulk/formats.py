"""The formats of tables of texts, and what the names of files say of them."""

import os
import re
from typing import Any, Literal, NamedTuple, get_args

from potstill.errors import PotstillError, missing_package

Format = Literal["txt", "csv", "tsv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
STANDARD = "-"  # the name of standard input and output

ENDINGS: dict[str, Format] = {
    "csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet", "pq": "parquet",
    "txt": "txt", "text": "txt",
}  # fmt: skip
NAMED = ", ".join(f".{ending}" for ending in ENDINGS if ending != "text") + "; each but Parquet also .gz or .zst"
"""What a message says of the endings that are read."""

_NAME = re.compile(rf"(?P<stem>.*)\.(?P<ending>{'|'.join(ENDINGS)})(?P<packed>\.gz|\.zst)?", re.IGNORECASE | re.DOTALL)


class Name(NamedTuple):
    """What a file's name says: the name without its endings, the format, and whether the file is compressed."""

    stem: str
    format: Format
    packed: bool


def parse(path: str) -> Name | None:
    """Read the endings of a file's name, whatever their case; None if they tell no format."""
    found = _NAME.fullmatch(os.path.basename(path))
    if not found:
        return None
    return Name(found["stem"], ENDINGS[found["ending"].lower()], found["packed"] is not None)


def format_of(path: str, asked: Format | None, standard: Format) -> Format:
    """The format of a file: what was asked for, or what its name says.

    For standard input and output, and pipes, devices and descriptors whose names tell none, `standard`.

    Raises:
        PotstillError: the name says nothing, or is that of a folder.
    """
    name = parse(path)
    if asked or path == STANDARD:
        return asked or standard
    if name:
        return name.format
    if os.path.isdir(path):
        raise PotstillError(f"{path} is a folder: name a file in it")
    if _of_the_system(path) or (os.path.exists(path) and not os.path.isfile(path)):
        return standard
    raise PotstillError(
        f"{path}: its name tells no format (known: {NAMED}). Rename it, or give the format: {', '.join(FORMATS)}"
    )


def _of_the_system(path: str) -> bool:
    """Whether a path is that of a device or descriptor, such as /dev/stdout, behind which a file may be."""
    place = os.path.abspath(path)
    return place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/")  # a folder like any other


def pyarrow(purpose: str = "Parquet files") -> Any:
    """Arrow with its Parquet part, which is no part of the base installation.

    Raises:
        PotstillError: it is not installed.
    """
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise missing_package(f"pyarrow, which {purpose} require,", "parquet") from None
    return pyarrow
