"""Reading the tables that stages write. Their pages have no checksums: what is damaged may be read as anything."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from potstill import files

TEXT = pa.schema([("text", pa.large_string())])
POOL = TEXT.append(pa.field("source", pa.large_string()))


def labelled(multi_label: bool) -> pa.Schema:
    """The columns of a split: texts with an id each, or where a text may have several labels with a list of ids."""
    return TEXT.append(pa.field("label", pa.list_(pa.int64()) if multi_label else pa.int64()))


def scores(names: Iterable[str], kind: pa.DataType | None = None) -> pa.Schema:
    """The columns of numbers, one for each name."""
    return pa.schema([(name, kind or pa.float32()) for name in names])


def check(file: pa.parquet.ParquetFile, wanted: pa.Schema, empty: bool = False) -> None:
    """Check that a file has just the columns that are wanted, in their order, and, unless it may be empty, rows.

    Raises:
        ValueError: it has not; the text says what is there.
    """
    found = file.schema_arrow
    if found.names != wanted.names:
        pairs = zip_longest(map(repr, found.names), map(repr, wanted.names), fillvalue="nothing")
        place, (has, needs) = next((place, pair) for place, pair in enumerate(pairs, 1) if len(set(pair)) == 2)
        raise ValueError(f"column {place} is {has} instead of {needs}")
    if not file.metadata.num_rows:
        if not empty:
            raise ValueError("it has no rows")
        return  # pandas says of no texts that they are of no type
    for has, column in zip(found, wanted, strict=True):
        if not _fits(has.type, column.type):
            raise ValueError(f"the column {column.name!r} is of type {has.type} instead of {column.type}")


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_list(wanted):  # of null where all lists are empty
        return pa.types.is_list(found) and found.value_type in (wanted.value_type, pa.null())
    return found == wanted or (pa.types.is_large_string(wanted) and pa.types.is_string(found))


def sound(part: Any) -> Any:
    """Return a table or a batch if every text in it is UTF-8 and no value is missing.

    Raises:
        ValueError: a text is not UTF-8, or a value is missing.
    """
    part.validate(full=True)
    for name, column in zip(part.schema.names, part.columns, strict=True):
        values = pa.compute.list_flatten(column) if pa.types.is_list(column.type) else column
        if column.null_count or values.null_count:
            raise ValueError(f"the column {name!r} lacks a value")
    return part


def opened(path: Path, wanted: pa.Schema, empty: bool = False) -> pa.parquet.ParquetFile:
    """Open a file, and `check` it.

    Raises:
        PotstillError: it is missing, damaged or of other columns.
    """
    with files.reading(path):
        file = pa.parquet.ParquetFile(path)
        check(file, wanted, empty)
        return file


def read(path: Path, wanted: pa.Schema, columns: Sequence[str] | None = None, empty: bool = False) -> pa.Table:
    """Read a file of the columns `wanted`, or some of them.

    Raises:
        PotstillError: as `opened`; or a text is not UTF-8, or a value is missing.
    """
    with files.reading(path), opened(path, wanted, empty) as file:
        return sound(file.read(columns))


def texts(path: Path, wanted: pa.Schema, empty: bool = False) -> Iterator[pa.Array]:
    """Read the column `text` of a file of the columns `wanted`, some thousands at a time.

    Raises:
        PotstillError: as `read`.
    """
    with files.reading(path), opened(path, wanted, empty) as file:
        for batch in file.iter_batches(columns=["text"]):
            yield sound(batch).column(0)
