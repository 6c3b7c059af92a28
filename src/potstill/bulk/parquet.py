"""Reading texts from Parquet, by Arrow and its schema: what pandas has noted of an index is a column like any other."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

import numpy as np

from potstill.bulk.asked import BadRows, Batch, Request
from potstill.bulk.formats import STANDARD, pyarrow
from potstill.bulk.open import BLOCK, LONGEST, POINTER, POINTS, binary, display_name
from potstill.errors import PotstillError, exhausted

SIZE = 1 << 26  # bytes of text in a batch that are aimed at
LARGE, RATIO = 1 << 30, 1000  # a row group of more bytes, and of so many times its compressed bytes, is a bomb


@contextmanager
def opened(path: str) -> Iterator[tuple[Any, Any]]:
    """Open a Parquet file, as Arrow's `ParquetFile`, and give what it was opened from too.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec takes.

    Raises:
        PotstillError: the file is missing, or no Parquet.
    """
    arrow = pyarrow()
    name = display_name(path)
    with ExitStack() as stack:
        try:
            source: Any = path
            if "://" in path:
                import fsspec

                source = stack.enter_context(fsspec.open(path))
            elif path == STANDARD or not os.path.isfile(path):  # a pipe; Parquet is read from its end
                source = stack.enter_context(tempfile.TemporaryFile())
                with binary(path) as stream:
                    shutil.copyfileobj(stream, source)
            # Without memory mapping and pre-buffering, which would hold on to what has been read.
            file = stack.enter_context(
                arrow.parquet.ParquetFile(source, pre_buffer=False, buffer_size=BLOCK, page_checksum_verification=True)
            )
            file.schema_arrow  # noqa: B018 - parsed here, as it may be damaged too
        except PotstillError:
            raise
        except FileNotFoundError:
            raise PotstillError(f"{name} is missing: name a file that exists") from None
        except PermissionError:
            raise
        except (arrow.ArrowException, OSError, MemoryError) as error:
            if reason := exhausted(error):
                raise PotstillError(f"{name} cannot be read: {reason}") from None
            if os.path.isfile(path):
                with binary(path) as stream:
                    if stream.read(len(POINTER)) == POINTER:
                        raise PotstillError(f"{name} {POINTS}") from None
            raise PotstillError(f"{name} is not a valid Parquet file ({_first_line(error)})") from None
        except Exception as error:  # the stores of fsspec have errors of their own
            raise PotstillError(f"{name} cannot be read: {error}") from None
        yield file, source


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def names(path: str) -> list[str]:
    """The names of all columns."""
    with opened(path) as (file, _):
        return list(file.schema_arrow.names)


def check(kind: Any, name: str, column: str) -> None:
    """See to it that a column is of a type that holds strings.

    Raises:
        PotstillError: it is not.
    """
    types = pyarrow().types
    if not _is_string(kind.value_type if types.is_dictionary(kind) else kind, types):
        raise PotstillError(
            f"{name}: the column {column!r} holds {kind}, not strings. Name the column of the text, or store its "
            "values as strings"
        )


def _is_string(kind: Any, types: Any) -> bool:
    known = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(is_kind(kind) for is_kind in known)


def check_values(kind: Any, name: str, column: str) -> None:
    """See to it that a column is of a type that holds strings, numbers or lists of them.

    Raises:
        PotstillError: it is not. Not all dates are ones that Python has.
    """
    types, held = pyarrow().types, kind
    while hasattr(held, "value_type"):
        held = held.value_type
    numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    if not _is_string(held, types) and not any(is_kind(held) for is_kind in numbers):
        raise PotstillError(
            f"{name}: the column {column!r} holds {kind}, neither names nor numbers. Name another column, or store its "
            "values as strings"
        )


def batches(request: Request, rows: int) -> Iterator[Batch]:
    """Read batches of at most `rows` rows; where texts are long, fewer, so that memory stays bounded.

    Raises:
        PotstillError: as `opened` and `check`; or another column holds neither strings nor numbers, one is missing or
            there twice, a page is damaged, or a row group unpacks to far more than is there.
    """
    arrow = pyarrow()
    text = request.columns[0]
    with opened(request.path) as (file, source):
        request.column_indices(file.schema_arrow.names)
        check(file.schema_arrow.field(text).type, display_name(request.path), text)
        for column in request.columns[1:]:
            check_values(file.schema_arrow.field(column).type, display_name(request.path), column)
        columns = list(dict.fromkeys(request.columns))
        rows = min(rows, max(1, SIZE // _longest(file, source, request.path, columns)))
        done = 0
        found = file.iter_batches(rows, columns=columns)
        while True:
            try:
                batch = next(found, None)
                if batch is None:
                    return
                texts = batch.column(text).cast(arrow.string())
            except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
                raise _damaged(file, request.path, columns, rows, done, error) from None
            others = {column: batch.column(column) for column in request.columns[1:]}
            numbers: Sequence[int] = range(done + 1, done + 1 + len(texts))
            done += len(texts)
            good = np.ones(len(texts), bool)
            for i, fault in _faults(texts, others, arrow):
                request.bad_rows.add(request.location(numbers[i]), fault)
                good[i] = False
            if not good.all():
                kept = np.flatnonzero(good).tolist()
                numbers, texts = [numbers[i] for i in kept], texts.filter(arrow.array(good))
                others = {column: held.filter(arrow.array(good)) for column, held in others.items()}
            if len(texts):
                yield Batch(texts, numbers, [values(others[column], arrow) for column in request.columns[1:]])


def _longest(file: Any, source: Any, path: str, columns: list[str]) -> int:
    """The bytes of the longest value of a dictionary, or of a plain value on average, of all row groups.

    One value of a dictionary may stand in thousands of rows: a megabyte, which compresses to a few hundred bytes, in
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
                    f"{display_name(path)}: row group {group} unpacks {chunk.total_compressed_size:,} bytes to {size:,}. "
                    "Such a file is made to exhaust memory"
                )
            longest = max(longest, size // max(1, known.num_rows))
            if chunk.has_dictionary_page and size * known.num_rows > SIZE:
                longest = max(longest, _longest_in_dictionary(source, path, name, group))
    if longest > LONGEST:
        raise PotstillError(
            f"{display_name(path)} holds values of {longest:,} bytes. At most {LONGEST >> 20} MB are read"
        )
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
        raise _spoilt(path, group, error) from None
    return 1


def _spoilt(path: str, group: int, error: BaseException) -> PotstillError:
    if reason := exhausted(error):
        return PotstillError(f"{display_name(path)}: row group {group} cannot be read: {reason}")
    return PotstillError(
        f"{display_name(path)}: row group {group} is damaged ({_first_line(error)}). Fetch or make the file again"
    )


def _damaged(file: Any, path: str, columns: list[str], rows: int, done: int, error: BaseException) -> PotstillError:
    """Find the row group in which reading fails, from the one on that holds row `done`."""
    before = 0
    for group in range(file.num_row_groups):
        before += file.metadata.row_group(group).num_rows
        if before > done:
            try:
                for _ in file.iter_batches(rows, row_groups=[group], columns=columns):
                    pass
            except Exception as found:
                return _spoilt(path, group, found)
    return _spoilt(path, file.num_row_groups - 1, error)


def _faults(texts: Any, others: dict[str, Any], arrow: Any) -> list[tuple[int, str]]:
    """The rows that have no text, or bytes that are no text, with what is wrong."""
    found: dict[int, str] = {}
    for column, held in others.items():
        found |= _undecodable(held, f" in the column {column!r}", arrow)
    found |= _undecodable(texts, "", arrow)
    if texts.null_count:
        missing = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
        found |= dict.fromkeys(missing.tolist(), "has no text")
    return sorted(found.items())


def _undecodable(values: Any, where: str, arrow: Any) -> dict[int, str]:
    """The rows of an Arrow array that are not UTF-8; Arrow reads strings as they are."""
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
    """A column, or a chunk of one, as Python's values.

    A number of less than double precision is what it is written as, 2.7 and not 2.70000005; a decimal, which may have
    more digits than a float, is a string of them, without the zeros that all of a column have at their end.
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
def open_parquet(path: str, column: str) -> Iterator[Any]:
    """Open a Parquet file, as Arrow's `ParquetFile`, and see to it that a column holds strings.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec takes.
        column: the name of the column.

    Raises:
        PotstillError: the file is missing, or no Parquet, or has no such column of strings.
    """
    with opened(path) as (file, _):
        Request(path, [column], BadRows(), lambda _: "Name one with --column", "row").place(file.schema_arrow.names)
        check(file.schema_arrow.field(column).type, display_name(path), column)
        yield file
