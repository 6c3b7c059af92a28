"""Read texts from tables, for `predict`, `prepare` and teachers that are tables.

Every format is read in batches, in bounded memory. A row that cannot be read is an error that names its number; rows
are never dropped or merged silently.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from potstill.readers import parquet
from potstill.readers.formats import Format
from potstill.readers.open import read_blocks
from potstill.readers.request import Advise, BadRows, Batch, Request, join, row_unit
from potstill.readers.rows import READERS, Piece, blank, parse, separator_of, split_tsv, undecodable

ROWS = 1 << 14  # rows of a batch, at most
SIZE = 1 << 25  # characters of a batch, after which no more rows are added


def read(
    path: str,
    kind: Format,
    columns: Sequence[str],
    bad_rows: BadRows,
    texts: int = 1,
    as_is: bool = False,
    advise: Advise = Request.advise,
) -> Iterator[Batch]:
    """Read a table.

    Args:
        path: the file, or `-` for standard input.
        kind: its format.
        columns: the columns, or keys, that hold the text, then those of other values; not used for txt. Other columns
            are not checked.
        bad_rows: what to do with bad rows.
        texts: how many columns hold the text. Several are joined, see `request.join`.
        as_is: whether the other columns are only carried along: those of Parquet may be of any type, and are given as
            Arrow arrays.
        advise: what to do where columns are missing.

    Raises:
        PotstillError: the file is missing or damaged, has no such column or has it twice, or has a bad row.
    """
    request = Request(path, columns, bad_rows, row_unit(kind), texts, as_is, advise)
    if kind == "parquet":
        return parquet.batches(request, ROWS)
    pieces = READERS[kind](request, read_blocks(path))
    return _batches(pieces if texts == 1 or kind == "txt" else (_joined(piece, texts) for piece in pieces))


def _joined(piece: Piece, texts: int) -> Piece:
    """Return a piece whose first columns are joined to one."""
    joined = [join(parts) for parts in zip(*piece.columns[:texts], strict=True)]
    return piece._replace(columns=[joined, *piece.columns[texts:]])


def names(path: str, kind: Format) -> list[str]:
    """Return the names of a table's columns, or the keys of the first line of jsonl; none where `read` would fail."""
    if kind == "parquet":
        with parquet.open_file(path) as (file, _):
            return list(file.schema_arrow.names)
    return list(next(_first_rows(path, kind), []))


def sample(path: str, kind: Format, rows: int) -> dict[str, list[Any]]:
    """Return the first values of a table's columns by their names, as far as it can be read; for proposals only.

    Of Parquet, values that are neither strings nor numbers are left out.
    """
    if kind == "parquet":
        with parquet.open_file(path) as (file, _):
            return parquet.sample(file, rows)
    found = _first_rows(path, kind)
    if kind == "jsonl":
        objects = list(islice(found, rows))
        keys = dict.fromkeys(key for row in objects for key in row)
        return {key: [row.get(key) for row in objects] for key in keys}
    header: list[str] = next(found, [])
    whole = [row for row in islice(found, rows) if len(row) == len(header)]
    return {name: [row[i] for row in whole] for i, name in enumerate(header)}


def _first_rows(path: str, kind: Format) -> Iterator[Any]:
    """Yield the rows of csv or tsv as lists, with the header, and of jsonl as objects, up to one that is damaged."""
    separator = ""
    with suppress(ValueError, RecursionError, csv.Error):
        for block in () if kind == "txt" else read_blocks(path):
            lines = io.StringIO(block.text, newline="\n")
            if kind == "jsonl":
                objects = (parse(line) for line in lines if line.strip())
                rows: Iterable[Any] = (row if isinstance(row, dict) else {} for row in objects)
            else:
                separator = separator or separator_of(block.text)
                tsv = (split_tsv(line.rstrip("\r\n")) for line in lines)
                rows = csv.reader(lines, delimiter=separator) if kind == "csv" else tsv
            for row in rows:
                if block.foreign and undecodable(row, block.foreign):
                    return
                if kind == "jsonl" or not blank(row, []):
                    yield row


def _batches(pieces: Iterable[Piece]) -> Iterator[Batch]:
    waiting: list[list[Any]] = []  # the numbers, then the columns, of rows that are not in a batch yet
    size = 0
    for piece in pieces:
        waiting = waiting or [[] for _ in (piece.numbers, *piece.columns)]
        for column, values in zip(waiting, (piece.numbers, *piece.columns), strict=True):
            column.extend(values)
        size += piece.size
        while len(waiting[0]) >= ROWS or (waiting[0] and size >= SIZE):
            numbers, texts, *others = (column[:ROWS] for column in waiting)
            waiting, size = [column[ROWS:] for column in waiting], 0
            yield Batch(texts, numbers, others)
    if waiting and waiting[0]:
        numbers, texts, *others = waiting
        yield Batch(texts, numbers, others)
