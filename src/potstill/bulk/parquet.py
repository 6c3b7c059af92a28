"""Reading texts from Parquet, by Arrow and its schema: what pandas has noted of an index is a column like any other."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.bulk.formats import STANDARD, pyarrow
from potstill.bulk.open import BLOCK, LONGEST, binary, shown
from potstill.errors import PotstillError

if TYPE_CHECKING:
    from potstill.bulk.read import Asked, Batch

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
    name = shown(path)
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
        except (arrow.ArrowException, OSError) as error:
            raise PotstillError(f"{name} is not a valid Parquet file ({_first_line(error)})") from None
        except MemoryError:
            raise PotstillError(f"{name} is not a valid Parquet file (it asks for more memory than there is)") from None
        except Exception as error:  # the stores of fsspec have errors of their own
            raise PotstillError(f"{name} cannot be read: {error}") from None
        yield file, source


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def names(path: str) -> list[str]:
    """The names of all columns."""
    with opened(path) as (file, _):
        return list(file.schema_arrow.names)


def check(file: Any, path: str, column: str) -> None:
    """See to it that a column holds strings.

    Raises:
        PotstillError: it does not.
    """
    types = pyarrow().types
    kind = file.schema_arrow.field(column).type
    held = kind.value_type if types.is_dictionary(kind) else kind
    known = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_kind(held) for is_kind in known):
        raise PotstillError(
            f"{shown(path)}: the column {column!r} holds {kind}, not strings. Name the column of the text, or store "
            "its values as strings"
        )


def batches(asked: "Asked", rows: int) -> Iterator["Batch"]:
    """Read batches of at most `rows` rows; where texts are long, fewer, so that memory stays bounded.

    Raises:
        PotstillError: as `opened` and `check`; or a column is missing or there twice, a page is damaged, or a row
            group unpacks to far more than is there.
    """
    from potstill.bulk.read import Batch

    arrow = pyarrow()
    text = asked.columns[0]
    with opened(asked.path) as (file, source):
        asked.place(file.schema_arrow.names)
        check(file, asked.path, text)
        columns = list(dict.fromkeys(asked.columns))
        rows = min(rows, max(1, SIZE // _longest(file, source, asked.path, columns)))
        done = 0
        found = file.iter_batches(rows, columns=columns)
        while True:
            try:
                batch = next(found, None)
                if batch is None:
                    return
                texts = batch.column(text).cast(arrow.string())
                others = [_values(batch.column(column), arrow) for column in asked.columns[1:]]
            except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
                raise _damaged(file, asked.path, columns, rows, done, error) from None
            numbers: Sequence[int] = range(done + 1, done + 1 + len(texts))
            done += len(texts)
            good = np.ones(len(texts), bool)
            for i, fault in _faults(texts, arrow):
                asked.bad.take(asked.where(numbers[i]), fault)
                good[i] = False
            if not good.all():
                kept = np.flatnonzero(good).tolist()
                numbers, texts = [numbers[i] for i in kept], texts.filter(arrow.array(good))
                others = [[values[i] for i in kept] for values in others]
            if len(texts):
                yield Batch(texts, numbers, others)


def _longest(file: Any, source: Any, path: str, columns: list[str]) -> int:
    """The bytes of the longest value of a dictionary, or of a plain value on average, of all row groups.

    One value of a dictionary may stand in thousands of rows: a megabyte, which compresses to a few hundred bytes, in
    16,384 rows is 16 GB.
    """
    longest = 1
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group)
        for chunk in map(known.column, range(known.num_columns)):
            column, size = chunk.path_in_schema.split(".")[0], chunk.total_uncompressed_size
            if column not in columns:
                continue
            if size > LARGE and size > RATIO * chunk.total_compressed_size:
                raise PotstillError(
                    f"{shown(path)}: row group {group} unpacks {chunk.total_compressed_size:,} bytes to {size:,}. "
                    "Such a file is made to exhaust memory"
                )
            longest = max(longest, size // max(1, known.num_rows))
            if chunk.has_dictionary_page and size * known.num_rows > SIZE:
                longest = max(longest, _longest_in_dictionary(source, path, column, group))
    if longest > LONGEST:
        raise PotstillError(f"{shown(path)} holds values of {longest:,} bytes. At most {LONGEST >> 20} MB are read")
    return longest


def _longest_in_dictionary(source: Any, path: str, column: str, group: int) -> int:
    arrow = pyarrow()
    file = arrow.parquet.ParquetFile(source, read_dictionary=[column], pre_buffer=False)
    if not arrow.types.is_dictionary(file.schema_arrow.field(column).type):
        return 1  # no strings: its values are short
    try:
        batch = next(file.iter_batches(1, row_groups=[group], columns=[column]))
    except StopIteration:
        return 1
    except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise _spoilt(path, group, error) from None
    lengths = arrow.compute.binary_length(batch.column(0).dictionary.cast(arrow.large_string()))
    return arrow.compute.max(lengths).as_py() or 1


def _spoilt(path: str, group: int, error: BaseException) -> PotstillError:
    return PotstillError(
        f"{shown(path)}: row group {group} is damaged ({_first_line(error)}). Fetch or make the file again"
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


def _faults(texts: Any, arrow: Any) -> list[tuple[int, str]]:
    """The rows of an Arrow array that are no text, with what is wrong."""
    found = []
    if texts.null_count:
        missing = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
        found = [(i, "has no text") for i in missing.tolist()]
    try:
        texts.validate(full=True)
    except arrow.ArrowInvalid:  # Arrow reads strings as they are
        for i, value in enumerate(texts.cast(arrow.binary()).to_pylist()):
            try:
                (value or b"").decode()
            except UnicodeDecodeError as error:
                found.append((i, f"is not UTF-8 ({error.reason})"))
    return sorted(found)


def _values(column: Any, arrow: Any) -> list[Any]:
    """A column as Python's values; a number of single precision is what it is written as, 2.7 and not 2.70000005."""
    if arrow.types.is_float32(column.type) or arrow.types.is_float16(column.type):
        values = column.cast(arrow.float32()).to_numpy(zero_copy_only=False)
        return [None if value != value else float(str(value)) for value in values]
    return [float(value) if isinstance(value, Decimal) else value for value in column.to_pylist()]


@contextmanager
def open_parquet(path: str, column: str) -> Iterator[Any]:
    """Open a Parquet file, as Arrow's `ParquetFile`, and see to it that a column holds strings.

    Args:
        path: a file, `-` for standard input, or any other URL that fsspec takes.
        column: the name of the column.

    Raises:
        PotstillError: the file is missing, or no Parquet, or has no such column of strings.
    """
    from potstill.bulk.read import Asked, Skipped

    with opened(path) as (file, _):
        Asked(path, [column], Skipped(), lambda _: "Name one with --column", "row").place(file.schema_arrow.names)
        check(file, path, column)
        yield file
