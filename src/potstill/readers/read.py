"""Read texts from tables, for `predict`, `prepare` and teachers that are tables.

Every format is read in batches, in bounded memory. A row that cannot be read is an error that names its number; rows
are never dropped or merged silently.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

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
        PotstillError: the file is missing or damaged, lacks a column or has it twice, or has a bad row.
    """
    request = Request(path, columns, bad_rows, row_unit(kind), advice or {})
    if kind == "parquet":
        from potstill.readers import parquet

        yield from parquet.batches(request, ROWS)
        return
    yield from _batches(READERS[kind](request, read_blocks(path)))


def names(path: str, kind: Format) -> list[str]:
    """Return the names of a table's columns, or the keys of the first line of jsonl; none where `read` would fail."""
    if kind == "parquet":
        from potstill.readers import parquet

        return parquet.names(path)
    if kind == "txt":
        return []
    with suppress(ValueError, RecursionError, csv.Error):
        for block in read_blocks(path):
            lines = io.StringIO(block.text, newline="\n")
            if kind == "jsonl":
                rows: Iterable[list[str]] = (_keys(parse(line)) for line in lines if line.strip())
            else:
                rows = csv.reader(lines) if kind == "csv" else (split_tsv(line.rstrip("\r\n")) for line in lines)
            for row in rows:
                if kind == "jsonl" or not blank(row, []):
                    return [] if block.foreign and undecodable(row, block.foreign) else row
    return []


def _keys(row: Any) -> list[str]:
    return list(row) if isinstance(row, dict) else []


@dataclass
class _Buffer:
    """Rows that wait until there are enough for a batch."""

    numbers: list[int] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)
    size: int = 0

    def add(self, piece: Piece) -> None:
        self.numbers.extend(piece.numbers)
        self.columns = self.columns or [[] for _ in piece.columns]
        for column, values in zip(self.columns, piece.columns, strict=True):
            column.extend(values)
        self.size += piece.size

    def take(self, rows: int) -> Batch:
        texts, *others = [column[:rows] for column in self.columns]
        batch = Batch(texts, self.numbers[:rows], others)
        self.numbers, self.columns = self.numbers[rows:], [column[rows:] for column in self.columns]
        self.size = 0
        return batch


def _batches(pieces: Iterable[Piece]) -> Iterator[Batch]:
    buffer = _Buffer()
    for piece in pieces:
        buffer.add(piece)
        while len(buffer.numbers) >= ROWS:
            yield buffer.take(ROWS)
        if buffer.numbers and buffer.size >= SIZE:
            yield buffer.take(len(buffer.numbers))
    if buffer.numbers:
        yield buffer.take(len(buffer.numbers))
