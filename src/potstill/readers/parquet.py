"""Read texts from Parquet by the Arrow schema, so that an index which pandas has stored is an ordinary column."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from itertools import islice
from typing import Any

import numpy as np

from potstill.core.errors import PotstillError, exhausted, first_line
from potstill.readers.formats import STANDARD, pyarrow
from potstill.readers.open import BLOCK, IS_POINTER, LONGEST, POINTER, binary, display_name
from potstill.readers.request import NO_TEXT, BadRows, Batch, Request, join

SIZE = 1 << 26  # target bytes of text in a batch
LARGE, RATIO = 1 << 30, 1000  # a row group of more bytes, and of so many times its compressed bytes, is a bomb


@contextmanager
def open_file(path: str) -> Iterator[tuple[Any, Any]]:
    """Open a Parquet file; give Arrow's `ParquetFile`, and the path or stream that it was opened from.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec supports.

    Raises:
        PotstillError: the file is missing, or not Parquet.
    """
    arrow = pyarrow()
    name = display_name(path)
    with ExitStack() as stack:
        try:
            source: Any = path
            if "://" in path:
                import fsspec

                source = stack.enter_context(fsspec.open(path))
            elif path == STANDARD or not os.path.isfile(path):  # a pipe; Parquet is read from the end
                source = stack.enter_context(tempfile.TemporaryFile())
                with binary(path) as stream:
                    shutil.copyfileobj(stream, source)
            # Without memory mapping and pre-buffering, which would keep in memory what has been read.
            file = stack.enter_context(
                arrow.parquet.ParquetFile(source, pre_buffer=False, buffer_size=BLOCK, page_checksum_verification=True)
            )
            file.schema_arrow  # noqa: B018 - parsed here, since it may be damaged too
        except (PotstillError, PermissionError):
            raise
        except FileNotFoundError:
            raise PotstillError(f"{name}: no such file. Name a file that exists.") from None
        except (arrow.ArrowException, OSError, MemoryError) as error:
            if reason := exhausted(error):
                raise PotstillError(f"{name}: {reason}") from None
            if os.path.isfile(path):
                with binary(path) as stream:
                    if stream.read(len(POINTER)) == POINTER:
                        raise PotstillError(f"{name}: {IS_POINTER}.") from None
            raise PotstillError(f"{name}: it is not a valid Parquet file ({first_line(error)}).") from None
        except Exception as error:  # fsspec's file systems raise errors of many types
            raise PotstillError(f"{name}: it cannot be read ({error}).") from None
        yield file, source


def check(kind: Any, name: str, column: str) -> None:
    """Check that a column is of a string type.

    Raises:
        PotstillError: it is not.
    """
    types = pyarrow().types
    if not _is_string(kind.value_type if types.is_dictionary(kind) else kind, types):
        raise PotstillError(
            f"{name}: the column {column!r} holds {kind}, not strings. Name the column of the text, or store its "
            "values as strings."
        )


def _is_string(kind: Any, types: Any) -> bool:
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null))


def check_values(kind: Any, name: str, column: str) -> None:
    """Check that a column is of a type that holds strings, numbers or lists of them.

    Raises:
        PotstillError: it is not, such as a date.
    """
    types, held = pyarrow().types, kind
    while hasattr(held, "value_type"):
        held = held.value_type
    numeric = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    if not _is_string(held, types) and not any(test(held) for test in numeric):
        raise PotstillError(
            f"{name}: the column {column!r} holds {kind}, neither strings nor numbers. Name another column, or store "
            "its values as strings."
        )


def batches(request: Request, rows: int) -> Iterator[Batch]:
    """Read batches of at most `rows` rows; fewer where texts are long, to bound memory.

    Raises:
        PotstillError: as `open_file` and `check`; or another column holds neither strings nor numbers, a column is
            missing or there twice, a page is damaged, or a row group is a decompression bomb.
    """
    arrow = pyarrow()
    wanted, carried = request.columns[: request.texts], request.columns[request.texts :]
    with open_file(request.path) as (file, source):
        request.column_indices(file.schema_arrow.names)
        for column in wanted:
            check(file.schema_arrow.field(column).type, display_name(request.path), column)
        for column in () if request.as_is else carried:
            check_values(file.schema_arrow.field(column).type, display_name(request.path), column)
        columns = list(dict.fromkeys(request.columns))
        rows = min(rows, max(1, SIZE // _longest(file, source, request.path, columns)))
        done = 0
        found = file.iter_batches(rows, columns=columns)
        while True:
            try:
                if (batch := next(found, None)) is None:
                    return
                parts = {column: batch.column(column).cast(arrow.string()) for column in wanted}
            except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
                raise _find_damage(file, request.path, columns, rows, done, error) from None
            others = {column: batch.column(column) for column in carried}
            numbers: Sequence[int] = range(done + 1, done + 1 + len(batch))
            done += len(batch)
            good = np.ones(len(batch), bool)
            for i, fault in _faults(parts, others, arrow):
                request.bad_rows.add(request.location(numbers[i]), fault)
                good[i] = False
            if not good.all():
                numbers = [numbers[i] for i in np.flatnonzero(good).tolist()]
                parts = {column: held.filter(arrow.array(good)) for column, held in parts.items()}
                others = {column: held.filter(arrow.array(good)) for column, held in others.items()}
            if numbers:
                held = [others[column] for column in carried]
                held = held if request.as_is else [values(column, arrow) for column in held]
                yield Batch(joined(list(parts.values())), numbers, held)


def joined(parts: Sequence[Any]) -> Any:
    """Return the texts of columns of strings, as one Arrow array; several are joined, see `request.join`."""
    if len(parts) == 1:
        return parts[0]
    arrow = pyarrow()
    return arrow.array(map(join, zip(*(part.to_pylist() for part in parts), strict=True)), arrow.string())


def sample(file: Any, rows: int) -> dict[str, list[Any]]:
    """Return the first values of the columns of strings and numbers by their names; for proposals only."""
    arrow = pyarrow()
    types = arrow.types
    chosen = [
        field.name
        for field in file.schema_arrow
        if _is_string(field.type, types) or types.is_integer(field.type) or types.is_floating(field.type)
    ]
    with suppress(arrow.ArrowException, OSError, ValueError):  # which are reported when it is read
        batch = next(file.iter_batches(rows, columns=chosen), None)
        return {name: [] if batch is None else batch.column(name).to_pylist() for name in chosen}
    return {}


def _longest(file: Any, source: Any, path: str, columns: list[str]) -> int:
    """Return the bytes of the longest value of a dictionary, or of a plain value on average, of all row groups.

    One value of a dictionary may occur in thousands of rows: a megabyte, which compresses to a few hundred bytes, in
    16,384 rows is 16 GB.
    """
    longest = 1
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group)
        for chunk in map(known.column, range(known.num_columns)):
            size, name = chunk.total_uncompressed_size, chunk.path_in_schema
            if not any(name == column or name.startswith(f"{column}.") for column in columns):  # itself, or in a list
                continue
            if size > LARGE and size > RATIO * chunk.total_compressed_size:
                raise PotstillError(
                    f"{display_name(path)}: row group {group} unpacks {chunk.total_compressed_size:,} bytes to "
                    f"{size:,}. It may be made to exhaust memory."
                )
            longest = max(longest, size // max(1, known.num_rows))
            if chunk.has_dictionary_page and size * known.num_rows > SIZE:
                longest = max(longest, _longest_in_dictionary(source, path, name, group))
    if longest > LONGEST:
        raise PotstillError(f"{display_name(path)}: a value has {longest:,} bytes; the limit is {LONGEST >> 20} MB.")
    return longest


def _longest_in_dictionary(source: Any, path: str, name: str, group: int) -> int:
    arrow = pyarrow()
    file = arrow.parquet.ParquetFile(source, read_dictionary=[name], pre_buffer=False)
    try:
        for batch in file.iter_batches(1, row_groups=[group], columns=[name]):
            values = batch.column(0)
            while not arrow.types.is_dictionary(values.type):
                if not hasattr(values.type, "value_type"):
                    return 1  # no strings: its values are short
                values = values.flatten()  # of lists
            if len(values.dictionary):
                lengths = arrow.compute.binary_length(values.dictionary.cast(arrow.large_string()))
                return arrow.compute.max(lengths).as_py() or 1
    except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise _damaged_group(path, group, error) from None
    return 1


def _damaged_group(path: str, group: int, error: Exception) -> PotstillError:
    if reason := exhausted(error):
        return PotstillError(f"{display_name(path)}: row group {group} cannot be read: {reason}")
    return PotstillError(
        f"{display_name(path)}: row group {group} is damaged ({first_line(error)}). Download or create the file again."
    )


def _find_damage(file: Any, path: str, columns: list[str], rows: int, done: int, error: Exception) -> PotstillError:
    """Return the error for the row group in which reading fails, searched from the one that holds row `done`."""
    before = 0
    for group in range(file.num_row_groups):
        before += file.metadata.row_group(group).num_rows
        if before > done:
            try:
                for _ in file.iter_batches(rows, row_groups=[group], columns=columns):
                    pass
            except Exception as found:
                return _damaged_group(path, group, found)
    return _damaged_group(path, file.num_row_groups - 1, error)


def _faults(parts: dict[str, Any], others: dict[str, Any], arrow: Any) -> list[tuple[int, str]]:
    """Return the indices of the rows without a text, or with bytes that are not UTF-8, and what is wrong with each."""
    found: dict[int, str] = {}
    for column, held in (others | parts).items():
        where = "" if len(parts) == 1 and column in parts else f" in the column {column!r}"
        found |= _undecodable(held, where, arrow)
    return sorted((found | dict.fromkeys(nulls(list(parts.values())), NO_TEXT)).items())


def nulls(parts: Sequence[Any]) -> list[int]:
    """Return the indices of the rows that have a text in none of their columns."""
    if not all(part.null_count for part in parts):
        return []
    missing = [part.is_null().to_numpy(zero_copy_only=False) for part in parts]
    return np.flatnonzero(np.logical_and.reduce(missing)).tolist()


def _undecodable(values: Any, where: str, arrow: Any) -> dict[int, str]:
    """Return the rows of an Arrow array that are not UTF-8, which Arrow does not check when it reads strings."""
    found = {}
    try:
        values.validate(full=True)
    except arrow.ArrowInvalid:
        for i, value in enumerate(values):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                found[i] = f"is not UTF-8{where} ({error.reason})"
    return found


def values(column: Any, arrow: Any) -> list[Any]:
    """Convert a column, or a chunk of one, to a list of Python values.

    A float of less than double precision becomes the shortest decimal that it prints as, 2.7 and not 2.70000005. A
    decimal, which may have more digits than a float, becomes a string without trailing zeros.
    """
    types, kind = arrow.types, column.type
    if types.is_float32(kind) or types.is_float16(kind):
        return [None if value != value else float(str(value)) for value in column.to_numpy(zero_copy_only=False)]
    if types.is_decimal(kind):
        return [None if value is None else _digits(value) for value in column.to_pylist()]
    if hasattr(column, "flatten"):  # lists
        lengths = arrow.compute.list_value_length(column).to_pylist()
        held = iter(values(column.flatten(), arrow))
        return [None if length is None else list(islice(held, length)) for length in lengths]
    return column.to_pylist()


def _digits(value: Decimal) -> str:
    found = format(value, "f")
    return found.rstrip("0").rstrip(".") if "." in found else found


@contextmanager
def open_parquet(path: str, columns: Sequence[str]) -> Iterator[Any]:
    """Open a Parquet file as Arrow's `ParquetFile`, and check that some columns hold strings.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec supports.
        columns: the names of the columns.

    Raises:
        PotstillError: the file is missing, not Parquet, or has no such columns of strings.
    """
    with open_file(path) as (file, _):
        Request(path, columns, BadRows(), "row").column_indices(file.schema_arrow.names)
        for column in columns:
            check(file.schema_arrow.field(column).type, display_name(path), column)
        yield file
