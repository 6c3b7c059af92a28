"""Reading texts from tables: the one reader of `predict`, of `prepare` and of a teacher's table.

Every format is read in batches, in bounded memory. A row that cannot be read is refused by its number, never dropped,
and rows are never merged in silence.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from potstill.bulk.asked import BadRows, Batch, Request, row_unit
from potstill.bulk.formats import Format
from potstill.bulk.open import blocks
from potstill.bulk.rows import READERS, Piece, blank, parse, tabbed, undecodable

ROWS = 1 << 14  # in a batch, at most
SIZE = 1 << 25  # characters of a batch from which on it is not filled further


def read(
    path: str,
    kind: Format,
    columns: Sequence[str],
    bad: BadRows,
    advice: Callable[[str], str] = lambda column: "Name one with --column",
) -> Iterator[Batch]:
    """Read a table.

    Args:
        path: the file, or `-` for standard input.
        kind: its format.
        columns: the column, or key, that holds the text, and those of other values; not used for txt. Other columns
            are not looked at.
        bad: what to do with bad rows.
        advice: what to do where a column is missing.

    Raises:
        PotstillError: the file is missing or damaged, has no such column or two of its name, or has a bad row.
    """
    request = Request(path, columns, bad, advice, row_unit(kind))
    if kind == "parquet":
        from potstill.bulk import parquet

        yield from parquet.batches(request, ROWS)
        return
    yield from _batches(READERS[kind](request, blocks(path)))


def names(path: str, kind: Format) -> list[str]:
    """The names of a table's columns; of jsonl the keys of its first line. None where `read` names what is wrong."""
    if kind == "parquet":
        from potstill.bulk import parquet

        return parquet.names(path)
    if kind == "txt":
        return []
    with suppress(ValueError, RecursionError, csv.Error):
        for block in blocks(path):
            lines = io.StringIO(block.text, newline="\n")
            if kind == "jsonl":
                rows: Iterable[list[str]] = (_keys(parse(line)) for line in lines if line.strip())
            else:
                rows = csv.reader(lines) if kind == "csv" else (tabbed(line.rstrip("\r\n")) for line in lines)
            for row in rows:
                if kind == "jsonl" or not blank(row, []):
                    return [] if block.foreign and undecodable(row, block.foreign) else row
    return []


def _keys(row: Any) -> list[str]:
    return list(row) if isinstance(row, dict) else []


def _batches(pieces: Iterable[Piece]) -> Iterator[Batch]:
    numbers: list[int] = []
    columns: list[list[Any]] = []
    size = 0

    def batch(rows: int) -> Batch:
        nonlocal numbers, columns, size
        texts, *others = [column[:rows] for column in columns]
        made = Batch(texts, numbers[:rows], others)
        numbers, columns, size = numbers[rows:], [column[rows:] for column in columns], 0
        return made

    for piece in pieces:
        numbers.extend(piece.numbers)
        columns = columns or [[] for _ in piece.columns]
        for column, values in zip(columns, piece.columns, strict=True):
            column.extend(values)
        size += piece.size
        while len(numbers) >= ROWS:
            yield batch(ROWS)
        if numbers and size >= SIZE:
            yield batch(len(numbers))
    if numbers:
        yield batch(len(numbers))
