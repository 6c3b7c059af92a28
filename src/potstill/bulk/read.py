"""Reading texts from tables."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from potstill.bulk.formats import STANDARD, Format, pyarrow
from potstill.errors import PotstillError

ROWS = 1 << 14  # in a batch
LONGEST_FIELD = 1 << 30  # characters of a CSV field


@dataclass
class Batch:
    """Some rows of a file.

    Attributes:
        texts: a list of strings, or an Arrow array.
        numbers: which rows they are, from 1.
    """

    texts: Any
    numbers: Sequence[int]


class BadRow(PotstillError):
    """A row that has no text to score."""


@dataclass
class Skipped:
    """How many bad rows were left out; None where the first ends it all."""

    count: int | None = None

    def take(self, error: BadRow) -> None:
        """Count a bad row, or raise."""
        if self.count is None:
            raise error
        self.count += 1


def read(path: str, kind: Format, column: str, skipped: Skipped) -> Iterator[Batch]:
    """Read texts.

    Args:
        path: the file, or `-` for standard input.
        kind: its format.
        column: the name of the column, or key, that holds the text; not used for txt.
        skipped: what to do with bad rows.

    Raises:
        PotstillError: the file is missing, has no such column, or has a bad row.
    """
    if kind == "parquet":
        yield from _read_parquet(path, column, skipped)
        return
    name = "standard input" if path == STANDARD else path
    with _open(path) as stream:
        rows = {"txt": _lines, "jsonl": _objects}.get(kind, _fields)(stream, name, column, kind)
        texts: list[str] = []
        numbers: list[int] = []
        for number, text in enumerate(rows, 1):
            if isinstance(text, BadRow):
                skipped.take(BadRow(f"{name}, row {number}: {text} (--skip-bad leaves such rows out)"))
                continue
            texts.append(text)
            numbers.append(number)
            if len(texts) == ROWS:
                yield Batch(texts, numbers)
                texts, numbers = [], []
        if texts:
            yield Batch(texts, numbers)


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    if not Path(path).is_file():
        raise PotstillError(f"{path} is missing")
    with open(path, "rb") as stream:
        yield stream


Row = str | BadRow


def _lines(stream: IO[bytes], name: str, column: str, kind: str) -> Iterator[Row]:
    """The lines of a text file; only a line feed ends one, with or without a carriage return."""
    for number, line in enumerate(stream):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            yield BadRow("it is no UTF-8")


def _objects(stream: IO[bytes], name: str, column: str, kind: str) -> Iterator[Row]:
    for line in _lines(stream, name, column, kind):
        if isinstance(line, BadRow):
            yield line
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield BadRow("it is no JSON")
            continue
        text = row.get(column) if isinstance(row, dict) else None
        yield text if isinstance(text, str) else BadRow(f"it has no string under {column!r}")


def _fields(stream: IO[bytes], name: str, column: str, kind: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    # What is no UTF-8 becomes surrogates, so that one bad row does not end the file.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    rows = csv.reader(text, delimiter="\t" if kind == "tsv" else ",")
    header = next(rows, None)
    if header is None or column not in header:
        found = ", ".join(map(repr, header or [])) or "none"
        raise PotstillError(f"{name} has no column {column!r}, but {found}: name one with --column")
    place = header.index(column)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield BadRow(f"it is no CSV ({error})")
            continue
        if not row:
            continue  # an empty line
        if len(row) != len(header):
            yield BadRow(f"it has {len(row)} fields, and the header has {len(header)}")
        elif any("\udc80" <= c <= "\udcff" for c in row[place]):
            yield BadRow("it is no UTF-8")
        else:
            yield row[place]
    text.detach()


@contextmanager
def open_parquet(path: str, column: str) -> Iterator[Any]:
    """Open a Parquet file, as Arrow's `ParquetFile`, and see to it that a column holds strings.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec takes.
        column: the name of the column.

    Raises:
        PotstillError: the file is missing, or no Parquet, or has no such column of strings.
    """
    arrow = pyarrow()
    with ExitStack() as opened:
        try:
            source: Any = path
            if path == STANDARD:
                source = io.BytesIO(sys.stdin.buffer.read())
            elif "://" in path:
                import fsspec

                source = opened.enter_context(fsspec.open(path))
            # Without memory mapping and pre-buffering, which would hold on to what has been read.
            file = opened.enter_context(arrow.parquet.ParquetFile(source, pre_buffer=False))
        except FileNotFoundError:
            raise PotstillError(f"{path} is missing") from None
        except (arrow.ArrowInvalid, OSError) as error:
            raise PotstillError(f"{path} is no Parquet file ({str(error).splitlines()[0]})") from None
        except Exception as error:  # the stores of fsspec have errors of their own
            raise PotstillError(f"{path} cannot be read: {error}") from None
        if column not in file.schema_arrow.names:
            found = ", ".join(map(repr, file.schema_arrow.names))
            raise PotstillError(f"{path} has no column {column!r}, but {found}: name one with --column")
        kind = file.schema_arrow.field(column).type
        if arrow.types.is_dictionary(kind):
            kind = kind.value_type
        if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_string_view(kind)):
            raise PotstillError(f"{path}: the column {column!r} holds {kind}, and no strings")
        yield file


def _read_parquet(path: str, column: str, skipped: Skipped) -> Iterator[Batch]:
    arrow = pyarrow()
    with open_parquet(path, column) as file:
        done = 0
        for batch in file.iter_batches(ROWS, columns=[column]):
            texts = batch.column(0).cast(arrow.string())
            numbers: Sequence[int] = range(done + 1, done + 1 + len(texts))
            done += len(texts)
            if texts.null_count:
                valid = texts.is_valid().to_numpy(zero_copy_only=False)
                for number in np.flatnonzero(~valid).tolist():
                    missing = BadRow(f"{path}, row {numbers[number]}: it has no text (--skip-bad leaves such rows out)")
                    skipped.take(missing)
                numbers, texts = [numbers[i] for i in np.flatnonzero(valid).tolist()], texts.drop_null()
            yield Batch(texts, numbers)
