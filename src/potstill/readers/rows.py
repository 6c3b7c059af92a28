"""The rows of text formats: what a line, a quote and a blank line mean in each, and what makes a row bad."""

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from potstill.core.errors import SURROGATE, PotstillError, visible
from potstill.core.labels import JOINT
from potstill.readers.open import BLOCK, LONGEST, Block, display_name
from potstill.readers.request import NO_TEXT, Request, quoted

csv.field_size_limit(LONGEST)  # the default, 131,072 characters, is too short for long texts

NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
"""A field of a table that holds a number."""

# As in CSV, not as in prose and numbers.
_SEPARATORS = {",": re.compile(r"(?<![0-9]),(?!\s)|,(?![0-9\s])"), ";": re.compile(r";(?!\s)")}
_MAX_LABELS = 10_000  # distinct labels, and suspect rows, that are remembered to find merged rows


class Piece(NamedTuple):
    """Rows of a part of a file: their numbers, the requested columns, and how many characters they have."""

    numbers: Sequence[int]
    columns: list[list[Any]]
    size: int


def _read_txt(request: Request, blocks: Iterator[Block]) -> Iterator[Piece]:
    """Read every line as a text; only a line feed ends one, with or without a carriage return."""
    for block in blocks:
        texts = block.text.split("\n")
        if not texts[-1]:
            texts.pop()
        if "\r" in block.text:
            texts = [text.removesuffix("\r") for text in texts]
        numbers: Sequence[int] = range(block.line, block.line + len(texts))
        if block.foreign:
            good = []
            for number, text in zip(numbers, texts, strict=True):
                if fault := undecodable((text,), block.foreign):
                    request.bad_rows.add(request.location(number), fault)
                else:
                    good.append((number, text))
            numbers, texts = [number for number, _ in good], [text for _, text in good]
        yield Piece(numbers, [texts], len(block.text))


def undecodable(values: Iterable[Any], foreign: str | None) -> str | None:
    """Describe the first value that holds a surrogate, which no valid text does; None if there is none."""
    for value in values:
        surrogate = SURROGATE.search(value) if isinstance(value, str) and not value.isascii() else None
        if surrogate and foreign and "\udc80" <= surrogate[0] <= "\udcff":
            return f"has a byte that is not UTF-8 (0x{ord(surrogate[0]) - 0xDC00:02x}){foreign}"
        if surrogate:
            return f"has a lone surrogate ({ascii(surrogate[0])[1:-1]}), which is not a character"
    return None


class _Repeated(dict[str, Any]):
    """An object that repeats a key; `keys_found` holds every key as often as it occurs."""

    keys_found: list[str]


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        row = _Repeated(row)
        row.keys_found = [key for key, _ in pairs]
    return row


def _parse_int(digits: str) -> float:
    return int(digits) if len(digits) <= 640 else float(digits)  # Python's limit cannot be set below 640 digits


_decode = json.JSONDecoder(object_pairs_hook=_object_of).decode
_decode_long = json.JSONDecoder(object_pairs_hook=_object_of, parse_int=_parse_int).decode


def parse(line: str) -> Any:
    """Parse a line of JSONL.

    Raises:
        JSONDecodeError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return _decode(line)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than Python parses, perhaps in a key that was not requested
        return _decode_long(line)


def _read_jsonl(request: Request, blocks: Iterator[Block]) -> Iterator[Piece]:
    """Read every line as an object; skip blank lines."""
    text, *others = request.columns
    for block in blocks:
        if block.line == 1 and re.match(r"\s*\[\s*\{", block.text):
            raise PotstillError(
                f"{display_name(request.path)}: it is a JSON array, but .jsonl has one object per line. Convert it "
                "with `jq -c '.[]' OLD > NEW`."
            )
        suspect = block.foreign is not None or "\\ud" in block.text or "\\uD" in block.text
        numbers: list[int] = []
        columns: list[list[Any]] = [[] for _ in request.columns]
        texts = columns[0]
        for number, line in enumerate(block.text.split("\n"), block.line):
            if not line or line.isspace():
                continue
            # The fast path; `_check_object` parses the line again to describe what is wrong.
            try:
                row = _decode(line)
                value = row[text]
                good = type(value) is str
            except (ValueError, RecursionError, TypeError, LookupError):
                good = False
            if not good or suspect or others or type(row) is _Repeated:
                row, fault = _check_object(request, line, block.foreign, number)
                if fault:
                    request.bad_rows.add(request.location(number), fault)
                    continue
                value = row[text]
                for column, values in zip(others, columns[1:], strict=True):
                    values.append(row[column])
            texts.append(value)
            numbers.append(number)
        yield Piece(numbers, columns, len(block.text))


def _check_object(request: Request, line: str, foreign: str | None, number: int) -> tuple[dict[str, Any], str | None]:
    """Parse a line of JSONL and check it; return the object, and what is wrong with it or None."""
    try:
        row = parse(line)
    except RecursionError:
        return {}, "is nested too deeply"
    except json.JSONDecodeError as error:
        return {}, f"is not valid JSON ({error.msg}, column {error.colno})"
    if not isinstance(row, dict):
        key = json.dumps(request.columns[0], ensure_ascii=False)
        return {}, f"holds {_abbreviated(row)}, which is not an object such as {{{key}: …}}"
    for column in request.columns:
        if isinstance(row, _Repeated) and row.keys_found.count(column) > 1:
            raise PotstillError(f"{request.location(number)} has the key {quoted(column)} twice. Rename one of them.")
    if missing := [column for column in dict.fromkeys(request.columns) if column not in row]:
        return row, (foreign and undecodable(row, foreign)) or f"has no {request.missing('key', missing, list(row))}."
    values = [row[column] for column in request.columns]
    return row, _not_a_text(values[: request.texts]) or undecodable(values, foreign)


def _not_a_text(values: Sequence[Any]) -> str | None:
    """Describe the first value that is not a string, or that all are missing; None if they hold a text, even ""."""
    found = [value for value in values if not (value is None or value != value)]
    other = next((value for value in found if not isinstance(value, str)), None)
    if other is not None:
        return f"holds {_abbreviated(other)}, which is not a string. Put texts in quotes."
    return None if found else NO_TEXT


def _abbreviated(value: Any) -> str:
    found = json.dumps(value, ensure_ascii=False, default=repr)
    return found if len(found) <= 60 else f"{found[:60]}…"


def _column_indices(request: Request, header: list[str], separator: str, foreign: str | None) -> list[int]:
    """Return the index of each column in a header that may not be UTF-8."""
    if not set(request.columns) <= set(header) and (fault := undecodable(header, foreign)):
        raise PotstillError(f"{display_name(request.path)}: the header {fault.removesuffix('.')}.")
    return request.column_indices(header, separator)


@dataclass
class _CsvLines:
    """Split blocks into lines for `csv.reader`; keep what a later error message needs."""

    foreign: str | None = None
    head: str = ""

    def split(self, block: Block) -> Iterator[str]:
        self.foreign = block.foreign or self.foreign
        self.head = self.head or block.text.split("\n", 1)[0].rstrip("\r")
        return io.StringIO(block.text, newline="\n")


def _read_csv(request: Request, blocks: Iterator[Block]) -> Iterator[Piece]:
    """Read rows as RFC 4180 defines them: a quoted field may hold separators and line breaks.

    Fields may also be separated by semicolons, as spreadsheets save tables in countries with a decimal comma.

    A quote that is not closed, or that is closed within a field of a later line, merges an unknown number of rows into
    one: it is an error even where bad rows are skipped. A quote within an unquoted field is an ordinary character.
    """
    lines, first_block = _CsvLines(), list(itertools.islice(blocks, 1))
    separator = separator_of(first_block[0].text if first_block else "", request.columns)
    split = map(lines.split, itertools.chain(first_block, blocks))
    parsed = csv.reader(itertools.chain.from_iterable(split), strict=True, delimiter=separator)
    number, start = 0, 1
    header: list[str] = []
    indices: list[int] = []
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in request.columns]
    size = 0
    multiline = _MultilineRows(request, separator)
    while True:
        try:
            if (row := next(parsed, None)) is None:
                break
        except csv.Error as error:
            _check_csv_error(request, error, lines, number + 1 if header else None, (start, parsed.line_num))
            number += 1
            start = parsed.line_num + 1
            request.bad_rows.add(
                request.location(number), f"is not valid CSV ({error}). Double the quotes within a quoted field."
            )
            continue
        first, start = start, parsed.line_num + 1
        if not row:
            continue  # a blank line
        if not header:
            header = row
            indices = _column_indices(request, header, separator, lines.foreign)
            continue
        if len(row) != len(header):
            if blank(row, header):
                continue
            number += 1
            mark = "comma" if separator == "," else "semicolon"
            ragged = _wrong_field_count(row, header, f"Put texts that hold a {mark} in quotes")
            request.bad_rows.add(request.location(number), ragged)
            continue
        number += 1
        values = [row[index] for index in indices]
        if lines.foreign and (fault := undecodable(values, lines.foreign)):
            request.bad_rows.add(request.location(number), fault)
            continue
        if start > first + 1:
            multiline.add(number, first, start - 1, row, indices)
        else:
            multiline.add_label(values)
        numbers.append(number)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        size += 1 + len(values[0])
        if size >= BLOCK:
            yield Piece(numbers, columns, size)
            numbers, columns, size = [], [[] for _ in request.columns], 0
    if not header:
        request.column_indices([])
    multiline.check()
    yield Piece(numbers, columns, size)


def separator_of(text: str, columns: Sequence[str] = ()) -> str:
    """Return what separates the fields of a CSV, given its beginning: a comma, or a semicolon.

    Args:
        text: the beginning, with the header.
        columns: the names of columns that are looked for; none if they are not known yet.
    """
    head = text.split("\n", 1)[0].replace("\r", " ")  # is an error for `csv` outside quotes
    commas, semicolons = (next(csv.reader([head], delimiter=separator), []) for separator in ",;")
    if columns and set(columns) <= set(commas):
        return ","
    found = columns and set(columns) <= set(semicolons)
    return ";" if found or len(commas) == 1 < len(semicolons) else ","


def _check_csv_error(
    request: Request, error: csv.Error, lines: _CsvLines, row: int | None, span: tuple[int, int]
) -> None:
    """Raise the error of `csv.reader` as one that says what to do, unless it concerns a single row.

    Args:
        request: what is read.
        error: of `csv`, whose errors differ in their text only.
        lines: of the file.
        row: the number of the row; None for the header.
        span: the lines on which the row begins and on which the error is.
    """
    start, line = span
    place = f"{display_name(request.path)}: " + ("line {}" if row is None else f"row {row} (line {{}})")
    if "new-line character" in str(error):
        raise PotstillError(
            f"{place.format(line)} has a carriage return within a field, where programs disagree on whether the row "
            "ends. Put the field in quotes, or end every row with a line feed."
        ) from None
    if row is None and '"' in lines.head.replace('""', "").strip('"'):
        _column_indices(request, [lines.head], ",", lines.foreign)  # perhaps the delimiter is another one
    if line > start or row is None:
        raise PotstillError(
            f"{place.format(start)} opens a quote that is not closed correctly ({error}, line {line}), which merges "
            "the rows after it into one. Close it, or double the quotes within a quoted field."
        ) from None


def blank(row: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether a row is a blank line; where there is only one column, white space is a text."""
    return not row or (len(row) == 1 < len(header) and row[0].isspace())


def _wrong_field_count(row: Sequence[str], header: Sequence[str], advice: str) -> str:
    return f"has {len(row)} field{'s' * (len(row) != 1)}, but the header has {len(header)}. {advice}."


@dataclass
class _MultilineRows:
    """The rows of a CSV that span several lines: real ones, or rows that two stray quotes have merged.

    Where labels are read, a merged row is one of which most lines would be rows by themselves: they have as many fields
    as the header, and labels that other rows have, or none; or numbers, where several columns are read. The line that
    holds the row's own label is no evidence; nor are lines without a label, since a line of prose may end in a comma.
    """

    request: Request
    separator: str
    count: int = 0
    first: str = ""
    labels: set[str] = field(default_factory=set)
    suspects: list[tuple[str, str, list[str | None], int]] = field(default_factory=list)

    @property
    def labelled(self) -> bool:
        """Whether the columns after those of the text are labels."""
        return len(self.request.columns) > self.request.texts and not self.request.as_is

    def add_label(self, values: list[str]) -> None:
        if not self.labelled or len(self.labels) >= _MAX_LABELS:
            return
        if (label := _label(values[self.request.texts :])) is not None:
            self.labels.add(label)

    def add(self, number: int, start: int, end: int, row: list[str], indices: list[int]) -> None:
        where = f"row {number} (lines {start} to {end})"
        self.first = self.first or where
        self.count += 1
        self.add_label([row[index] for index in indices])
        if self.labelled and len(self.suspects) < _MAX_LABELS:
            at = indices[self.request.texts :]
            joined, split = self.separator.join, _SEPARATORS[self.separator].split
            lines = _unmerged(row, self.separator)
            lines = [line if len(line) <= len(row) else split(joined(line)) for line in lines]
            labels = [_label([line[i] for i in at]) if len(line) == len(row) else None for line in lines]
            own = 0 if "\n" not in "".join(row[: at[0] + 1]) else len(lines) - 1
            if _most(labels):
                self.suspects.append((where, joined(lines[0]), labels, own))

    def check(self) -> None:
        """Print how many rows span several lines.

        Raises:
            PotstillError: a row is probably several merged rows.
        """
        name = display_name(self.request.path)
        known = set().union(*map(_parts, self.labels))
        for where, line, labels, own in self.suspects:
            like = [label if label is not None and _parts(label) <= known else None for label in labels]
            if _most(like) and any(label and label.strip() for label in like[:own] + like[own + 1 :]):
                raise PotstillError(
                    f"{name}: {where} opens a quote that a later line closes, which merges the row {line[:60]!r} with "
                    "those after it. Remove the quotes, or double them within a quoted field; if it is one row, save "
                    "the table as .jsonl or .parquet, where line breaks are not ambiguous."
                )
        if self.count:
            spans = f"{self.count:,} rows span" if self.count > 1 else "1 row spans"
            note = f"{name}: {spans} several lines because of line breaks within quotes; the first is {self.first}"
            print(visible(note), file=sys.stderr)


def _most(labels: Sequence[str | None]) -> bool:
    """Return whether most lines look like rows, not counting the line of the row's own label, which always does."""
    return 2 * sum(label is not None for label in labels) > len(labels) + 1


def _label(values: list[str]) -> str | None:
    """Return the label of a row; for several columns, as of probabilities, "number" if all are numbers, else None."""
    if len(values) == 1:
        return values[0]
    return "number" if all(map(NUMBER.fullmatch, values)) else None


def _parts(label: str) -> set[str]:
    """Return the labels that a field holds, with the spaces around them, as prose has after a comma."""
    return {*label.split(JOINT)} - {""}


def _unmerged(row: list[str], separator: str) -> list[list[str]]:
    """Split a row that spans several lines as if no quotes were around the line breaks; drop blank lines."""
    lines: list[list[str]] = [[]]
    for value in row:
        first, *others = [line.removesuffix("\r").split(separator) for line in value.split("\n")]
        lines[-1] += first if others else [value]
        lines += others
    return [line for line in lines if "".join(line).strip() or len(line) > 1]


def split_tsv(line: str) -> list[str]:
    """Return the fields of a line of TSV, none if it is empty; remove quotes around a whole field, keep others."""
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter="\t", strict=True))
        except csv.Error:
            pass
    return line.split("\t") if line else []


def _read_tsv(request: Request, blocks: Iterator[Block]) -> Iterator[Piece]:
    """Read every line as a row.

    Many TSVs are written without quoting, and their texts begin with quotes that nothing closes. So a quote ends with
    its line. Lines that a quoted field would join to one row are an error, as it is unknown how many rows there are.
    """
    header: list[str] = []
    indices: list[int] = []
    number = 0
    opened = (0, 0)
    for block in blocks:
        lines = block.text.split("\n")
        if "\r" in block.text:
            lines = [line.removesuffix("\r") for line in lines]
        numbers: list[int] = []
        columns: list[list[str]] = [[] for _ in request.columns]
        for line in lines:
            row = split_tsv(line)
            if blank(row, header):
                continue
            if not header:
                header = row
                indices = _column_indices(request, header, "\t", block.foreign)
                continue
            number += 1
            if opened[0] or '"' in line:
                opened = _open_quote(request, line.split("\t"), number, len(header), opened)
            if len(row) != len(header):
                advice = "In .tsv every line is a row: save texts with tabs or line breaks as .csv"
                fault: str | None = _wrong_field_count(row, header, advice)
            else:
                values = [row[index] for index in indices]
                fault = undecodable(values, block.foreign) if block.foreign else None
            if fault:
                request.bad_rows.add(request.location(number), fault)
                continue
            numbers.append(number)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        yield Piece(numbers, columns, len(block.text))
    if not header:
        request.column_indices([])


def _open_quote(
    request: Request, fields: list[str], number: int, width: int, opened: tuple[int, int]
) -> tuple[int, int]:
    """Return the row whose last field opens a quote that may still be closed, and its field count; zeros for none.

    Raises:
        PotstillError: the line closes the quote, as the end of a field with a line break, and completes the row.
    """
    row, before = opened
    first, last = fields[0].replace('""', ""), fields[-1]
    if row and before + len(fields) - 1 == width and first.endswith('"') and first.count('"') == 1:
        raise PotstillError(
            f"{request.location(row)} opens a quote that row {number} closes, but in .tsv every line is a row. Save "
            "texts with line breaks as .csv, .jsonl or .parquet; if these are two rows, remove the quotes."
        )
    if last.startswith('"') and '"' not in last[1:].replace('""', ""):
        return number, len(fields)
    return opened if len(fields) == 1 and '"' not in first else (0, 0)


READERS = {"txt": _read_txt, "csv": _read_csv, "tsv": _read_tsv, "jsonl": _read_jsonl}
