"""Read the Parquet tables that stages write, and check them: pages have no checksums, so damage may go unnoticed."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from potstill.core import files

TEXT_SCHEMA = pa.schema([("text", pa.large_string())])
POOL_SCHEMA = TEXT_SCHEMA.append(pa.field("source", pa.large_string()))


def split_schema(multi_label: bool) -> pa.Schema:
    """Return the schema of a split: texts with an id each, or for multi-label tasks with a list of ids."""
    return TEXT_SCHEMA.append(pa.field("label", pa.list_(pa.int64()) if multi_label else pa.int64()))


def score_schema(names: Iterable[str], kind: pa.DataType | None = None) -> pa.Schema:
    """Return the schema of columns of numbers, float32 by default."""
    return pa.schema([(name, kind or pa.float32()) for name in names])


def check_schema(file: pa.parquet.ParquetFile, schema: pa.Schema, empty: bool = False) -> None:
    """Check that a file has exactly the columns of a schema, in order, and, unless it may be `empty`, rows.

    Raises:
        ValueError: it has not; the message says what was found.
    """
    found = file.schema_arrow
    if found.names != schema.names:
        pairs = zip_longest(map(repr, found.names), map(repr, schema.names), fillvalue="nothing")
        number, (has, needs) = next((number, pair) for number, pair in enumerate(pairs, 1) if len(set(pair)) == 2)
        raise ValueError(f"column {number} is {has} instead of {needs}")
    if not file.metadata.num_rows:
        if not empty:
            raise ValueError("it has no rows")
        return  # pandas writes an empty column as null
    for has, column in zip(found, schema, strict=True):
        if not _fits(has.type, column.type):
            raise ValueError(f"the column {column.name!r} is of type {has.type} instead of {column.type}")


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_list(expected):  # a list of null if all lists are empty
        return pa.types.is_list(found) and found.value_type in (expected.value_type, pa.null())
    return found == expected or (pa.types.is_large_string(expected) and pa.types.is_string(found))


def check_values(part: Any) -> Any:
    """Return a table or a batch after checking that every text is UTF-8 and no value is missing.

    Raises:
        ValueError: a text is not UTF-8, or a value is missing.
    """
    part.validate(full=True)
    for name, column in zip(part.schema.names, part.columns, strict=True):
        values = pa.compute.list_flatten(column) if pa.types.is_list(column.type) else column
        if column.null_count or values.null_count:
            raise ValueError(f"the column {name!r} has a missing value")
    return part


def open_checked(path: Path, schema: pa.Schema, empty: bool = False) -> pa.parquet.ParquetFile:
    """Open a file after `check_schema`.

    Raises:
        PotstillError: it is missing or damaged, or has other columns.
    """
    with files.reading(path):
        file = pa.parquet.ParquetFile(path)
        check_schema(file, schema, empty)
        return file


def read(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, empty: bool = False) -> pa.Table:
    """Read a file of a given schema, or some of its columns.

    Raises:
        PotstillError: as `open_checked`; or a text is not UTF-8, or a value is missing.
    """
    with files.reading(path), open_checked(path, schema, empty) as file:
        return check_values(file.read(columns))


def texts(path: Path, schema: pa.Schema, empty: bool = False) -> Iterator[pa.Array]:
    """Yield the column `text` of a file of a given schema, in batches.

    Raises:
        PotstillError: as `read`.
    """
    with files.reading(path), open_checked(path, schema, empty) as file:
        for batch in file.iter_batches(columns=["text"]):
            yield check_values(batch).column(0)
