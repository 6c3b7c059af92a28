"""Read texts from tables, for `predict`, `prepare` and teachers that are tables.

Every format is read in batches, in bounded memory. A row that cannot be read is an error that names its number; rows
are never dropped or merged silently.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from potstill.readers import parquet
from potstill.readers.formats import Format
from potstill.readers.open import read_blocks
from potstill.readers.request import BadRows, Batch, Request, row_unit
from potstill.readers.rows import READERS, Piece, blank, parse, split_tsv, undecodable

ROWS = 1 << 14  # rows of a batch, at most
SIZE = 1 << 25  # characters of a batch, after which no more rows are added


def read(
    path: str, kind: Format, columns: Sequence[str], bad_rows: BadRows, advice: Mapping[str, str] | None = None
) -> Iterator[Batch]:
    """Read a table.

    Args:
        path: the file, or `-` for standard input.
        kind: its format.
        columns: the column, or key, that holds the text, then those of other values; not used for txt. Other columns
            are not checked.
        bad_rows: what to do with bad rows.
        advice: what to do where a column is missing, by column.

    Raises:
        PotstillError: the file is missing or damaged, has no such column or has it twice, or has a bad row.
    """
    request = Request(path, columns, bad_rows, row_unit(kind), advice or {})
    if kind == "parquet":
        return parquet.batches(request, ROWS)
    return _batches(READERS[kind](request, read_blocks(path)))


def names(path: str, kind: Format) -> list[str]:
    """Return the names of a table's columns, or the keys of the first line of jsonl; none where `read` would fail."""
    if kind == "parquet":
        with parquet.open_file(path) as (file, _):
            return list(file.schema_arrow.names)
    if kind == "txt":
        return []
    with suppress(ValueError, RecursionError, csv.Error):
        for block in read_blocks(path):
            lines = io.StringIO(block.text, newline="\n")
            if kind == "jsonl":
                objects = (parse(line) for line in lines if line.strip())
                rows: Iterable[list[str]] = (list(row) if isinstance(row, dict) else [] for row in objects)
            else:
                rows = csv.reader(lines) if kind == "csv" else (split_tsv(line.rstrip("\r\n")) for line in lines)
            for row in rows:
                if kind == "jsonl" or not blank(row, []):
                    return [] if block.foreign and undecodable(row, block.foreign) else row
    return []


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
