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

from potstill.bulk.asked import Request, quoted
from potstill.bulk.open import BLOCK, LONGEST, Block, display_name
from potstill.errors import PotstillError, visible
from potstill.runtime.decision import JOINT

csv.field_size_limit(LONGEST)  # csv's own bound is a text of 131,072 characters

_SURROGATE = re.compile("[\ud800-\udfff]")
_SEPARATOR = re.compile(r"(?<![0-9]),(?!\s)|,(?![0-9\s])")  # a comma as in CSV, not as in prose and numbers

_NUMBER = re.compile(r"\s*[+-]?\.?[0-9][0-9.eE+-]*\s*")


class Piece(NamedTuple):
    """Rows on their way into a batch: their numbers, the columns asked for, and how many characters they have."""

    numbers: Sequence[int]
    columns: list[list[Any]]
    size: int


def _txt(request: Request, read: Iterator[Block]) -> Iterator[Piece]:
    """Every line is a text; only a line feed ends one, with or without a carriage return."""
    for block in read:
        texts = block.text.split("\n")
        if not texts[-1]:
            texts.pop()
        if "\r" in block.text:
            texts = [text.removesuffix("\r") for text in texts]
        numbers: Sequence[int] = range(block.line, block.line + len(texts))
        if block.foreign:
            good = []
            for number, text in zip(numbers, texts, strict=True):
                if fault := _undecodable(text, block.foreign):
                    request.bad_rows.add(request.location(number), fault)
                else:
                    good.append((number, text))
            numbers, texts = [number for number, _ in good], [text for _, text in good]
        yield Piece(numbers, [texts], len(block.text))


def undecodable(values: Iterable[Any], foreign: str | None) -> str | None:
    """What is wrong with the first value that has surrogates, of which no text can have any."""
    return next(filter(None, (_undecodable(value, foreign) for value in values)), None)


def _undecodable(value: Any, foreign: str | None) -> str | None:
    found = _SURROGATE.search(value) if isinstance(value, str) and not value.isascii() else None
    if not found:
        return None
    if foreign and "\udc80" <= found[0] <= "\udcff":
        return f"has a byte that is not UTF-8 (0x{ord(found[0]) - 0xDC00:02x}){foreign}"
    return half(found[0])


def half(surrogate: str) -> str:
    """What is wrong with a text that has half of a surrogate pair, this one."""
    return f"has half of a surrogate pair ({ascii(surrogate)[1:-1]}), which is no character"


class _Repeated(dict[str, Any]):
    """An object in which a key is there twice; `keys_found` has every key as often as it is there."""

    keys_found: list[str]


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        row = _Repeated(row)
        row.keys_found = [key for key, _ in pairs]
    return row


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= 640 else float(digits)  # 640 are read whatever Python's limit is


_decode = json.JSONDecoder(object_pairs_hook=_object_of).decode
_decode_long = json.JSONDecoder(object_pairs_hook=_object_of, parse_int=_number).decode


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
    except ValueError:  # a number of more digits than Python reads, maybe in a column that nobody asked for
        return _decode_long(line)


def _jsonl(request: Request, read: Iterator[Block]) -> Iterator[Piece]:
    """Every line is an object; blank lines are passed over."""
    text, *others = request.columns
    for block in read:
        if block.line == 1 and re.match(r"\s*\[\s*\{", block.text):
            raise PotstillError(
                f"{display_name(request.path)} is a JSON array, and .jsonl has an object a line. Convert it with "
                "`jq -c '.[]' OLD > NEW`"
            )
        suspect = block.foreign is not None or "\\ud" in block.text or "\\uD" in block.text
        numbers: list[int] = []
        columns: list[list[Any]] = [[] for _ in request.columns]
        texts = columns[0]
        for number, line in enumerate(block.text.split("\n"), block.line):
            if not line or line.isspace():
                continue
            try:
                row = _decode(line)
                value = row[text]
                good = type(value) is str
            except (ValueError, RecursionError, TypeError, LookupError):
                good = False
            if not good or suspect or others or type(row) is _Repeated:
                row, fault = _object(request, line, block.foreign, number)
                if fault:
                    request.bad_rows.add(request.location(number), fault)
                    continue
                value = row[text]
                for column, values in zip(others, columns[1:], strict=True):
                    values.append(row[column])
            texts.append(value)
            numbers.append(number)
        yield Piece(numbers, columns, len(block.text))


def _object(request: Request, line: str, foreign: str | None, number: int) -> tuple[dict[str, Any], str | None]:
    """A line of JSONL with care: the object, and what is wrong with it."""
    try:
        row = parse(line)
    except RecursionError:
        return {}, "is nested too deeply"
    except json.JSONDecodeError as error:
        return {}, f"is not valid JSON ({error.msg}, column {error.colno})"
    if not isinstance(row, dict):
        key = json.dumps(request.columns[0], ensure_ascii=False)
        return {}, f"holds {_short(row)}, which is not an object such as {{{key}: …}}"
    for column in request.columns:
        if isinstance(row, _Repeated) and row.keys_found.count(column) > 1:
            raise PotstillError(f"{request.location(number)} has the key {quoted(column)} twice. Rename one of them")
        if column not in row:
            return row, (foreign and undecodable(row, foreign)) or _no_key(request, row, column)
    values = [row[column] for column in request.columns]
    return row, no_text(values[0]) or undecodable(values, foreign)


def _no_key(request: Request, row: dict[str, Any], column: str) -> str:
    message = str(request.missing_column(column, list(row)))
    return (
        message.removeprefix(display_name(request.path) + " ")
        .removesuffix(".")
        .replace("has no column", "has no key", 1)
    )


def no_text(value: Any) -> str | None:
    """What is wrong with a value that is not a text; None if it is one, and be it empty."""
    if isinstance(value, str):
        return None
    if value is None or value != value:
        return "has no text"
    return f"holds {_short(value)}, which is not a string. Put texts in quotes"


def _short(value: Any) -> str:
    found = json.dumps(value, ensure_ascii=False, default=repr)
    return found if len(found) <= 60 else f"{found[:60]}…"


def _place(request: Request, header: list[str], separator: str, foreign: str | None) -> list[int]:
    """Where the columns are, in a header that may not be UTF-8."""
    if not set(request.columns) <= set(header) and (fault := undecodable(header, foreign)):
        raise PotstillError(f"{display_name(request.path)}: the header {fault}")
    return request.column_indices(header, separator)


def _csv(request: Request, read: Iterator[Block]) -> Iterator[Piece]:
    """RFC 4180: a field that begins with a quote ends with one, and may hold separators and line breaks.

    A quote that is opened and not closed, or closed within a field of a later line, has made one row of many: it is
    refused, and not left out with bad rows, as nobody can know how many there are. A quote within a field that does not
    begin with one is a character like any other.
    """
    foreign: str | None = None
    head = ""

    def lines(block: Block) -> Iterator[str]:
        nonlocal foreign, head
        foreign = block.foreign or foreign
        head = head or block.text.split("\n", 1)[0].rstrip("\r")
        return io.StringIO(block.text, newline="\n")

    parsed = csv.reader(itertools.chain.from_iterable(map(lines, read)), strict=True)
    name = display_name(request.path)
    number, start = 0, 1
    header: list[str] = []
    places: list[int] = []
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in request.columns]
    size = 0
    spans = _Spans(request)
    while True:
        try:
            row = next(parsed)
        except StopIteration:
            break
        except csv.Error as error:
            if "new-line character" in str(error):
                opened = f"row {number + 1} (line {parsed.line_num})" if header else f"line {parsed.line_num}"
                raise PotstillError(
                    f"{name}: {opened} has a carriage return within a field, where one program ends the row and "
                    "another does not. Put the field in quotes, or end every row with a line feed"
                ) from None
            if not header and '"' in head.replace('""', "").strip('"'):
                _place(request, [head], ",", foreign)  # another delimiter, maybe
            if parsed.line_num > start or not header:
                opened = f"row {number + 1} (line {start})" if header else f"line {start}"
                raise PotstillError(
                    f"{name}: {opened} opens a quote that is not closed as it should be ({error}, line "
                    f"{parsed.line_num}), and so swallows the rows after it. Close it, or double the quotes within a "
                    "quoted field"
                ) from None
            number += 1
            start = parsed.line_num + 1
            request.bad_rows.add(
                request.location(number), f"is not valid CSV ({error}). Double the quotes within a quoted field"
            )
            continue
        first, start = start, parsed.line_num + 1
        if not row:
            continue  # a blank line
        if not header:
            header = row
            places = _place(request, header, ",", foreign)
            continue
        if len(row) != len(header):
            if blank(row, header):
                continue
            number += 1
            request.bad_rows.add(
                request.location(number), _ragged(row, header, "Put texts that hold a comma in quotes")
            )
            continue
        number += 1
        values = [row[place] for place in places]
        if foreign and (fault := undecodable(values, foreign)):
            request.bad_rows.add(request.location(number), fault)
            continue
        if start > first + 1:
            spans.note(number, first, start - 1, row, places)
        else:
            spans.seen(values)
        numbers.append(number)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        size += 1 + len(values[0])
        if size >= BLOCK:
            yield Piece(numbers, columns, size)
            numbers, columns, size = [], [[] for _ in request.columns], 0
    if not header:
        request.column_indices([])
    spans.tell()
    yield Piece(numbers, columns, size)


def blank(row: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row is a blank line; one of white space is a text where there is one column only."""
    return not row or (len(row) == 1 < len(header) and row[0].isspace())


def _ragged(row: Sequence[str], header: Sequence[str], advice: str) -> str:
    plural = "s" * (len(row) != 1)
    return f"has {len(row)} field{plural}, and the header has {len(header)}. {advice}"


@dataclass
class _Spans:
    """The rows of a CSV that span several lines: genuine, or merged by two stray quotes.

    Where labels are read, a merged row is one of which most lines would be rows by themselves: they have as many fields
    as the header, and labels that other rows have, or none; or numbers, where several columns are read. The line of the
    row's own label tells nothing; lines without a label do not suffice, since a line of prose may end in a comma.
    """

    request: Request
    count: int = 0
    first: str = ""
    labels: set[str] = field(default_factory=set)
    suspects: list[tuple[str, str, list[str | None], int]] = field(default_factory=list)

    def seen(self, values: list[str]) -> None:
        if len(values) > 1 and len(self.labels) < 10_000 and (label := _label(values[1:])) is not None:
            self.labels.add(label)

    def note(self, number: int, start: int, end: int, row: list[str], places: list[int]) -> None:
        where = f"row {number} (lines {start} to {end})"
        self.first = self.first or where
        self.count += 1
        self.seen([row[place] for place in places])
        if len(places) > 1 and len(self.suspects) < 10_000:
            lines = [line if len(line) <= len(row) else _SEPARATOR.split(",".join(line)) for line in _unmerged(row)]
            labels = [_label([line[at] for at in places[1:]]) if len(line) == len(row) else None for line in lines]
            own = 0 if "\n" not in "".join(row[: places[1] + 1]) else len(lines) - 1
            if _most(labels):
                self.suspects.append((where, ",".join(lines[0]), labels, own))

    def tell(self) -> None:
        name = display_name(self.request.path)
        known = set().union(*map(_parts, self.labels))
        for where, line, labels, own in self.suspects:
            like = [label if label is not None and _parts(label) <= known else None for label in labels]
            if _most(like) and any(label and label.strip() for label in like[:own] + like[own + 1 :]):
                raise PotstillError(
                    f"{name}: {where} opens a quote that a later line closes, and swallows the row {line[:60]!r} and "
                    "what lies between. Remove the quotes, or double them within a quoted field; if it is one row, "
                    "save the table as .jsonl or .parquet, where no line break is in doubt"
                )
        if self.count:
            many = f"{self.count:,} rows span" if self.count > 1 else "1 row spans"
            told = f"{name}: {many} several lines, as quotes say; the first is {self.first}"
            print(visible(told), file=sys.stderr)


def _most(labels: Sequence[str | None]) -> bool:
    """Whether most lines look like rows, beside one that always does: that of the row's own label."""
    return 2 * sum(label is not None for label in labels) > len(labels) + 1


def _label(values: list[str]) -> str | None:
    """The label of a row; of several columns, as of probabilities, one and the same if all are numbers, else None."""
    if len(values) == 1:
        return values[0]
    return "number" if all(map(_NUMBER.fullmatch, values)) else None


def _parts(label: str) -> set[str]:
    """The labels that a field holds, with the blanks around them, as prose has after a comma."""
    return {*label.split(JOINT)} - {""}


def _unmerged(row: list[str]) -> list[list[str]]:
    """The fields of every line, but blank ones, of a row that spans several: as if no quote were around line breaks."""
    lines: list[list[str]] = [[]]
    for value in row:
        first, *others = [line.removesuffix("\r").split(",") for line in value.split("\n")]
        lines[-1] += first if others else [value]
        lines += others
    return [line for line in lines if "".join(line).strip() or len(line) > 1]


def tabbed(line: str) -> list[str]:
    """The fields of a line of TSV, none if it is empty: quotes around a whole field are removed, others are kept."""
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter="\t", strict=True))
        except csv.Error:
            pass
    return line.split("\t") if line else []


def _tsv(request: Request, read: Iterator[Block]) -> Iterator[Piece]:
    """Every line is a row.

    Many TSVs are written without quoting, and their texts begin with quotes that nothing closes: so no quote reaches
    beyond its line. Lines that a quoted field joins to one row are refused, as nobody can know how many rows there are.
    """
    header: list[str] = []
    places: list[int] = []
    number = 0
    opened = (0, 0)
    for block in read:
        lines = block.text.split("\n")
        if "\r" in block.text:
            lines = [line.removesuffix("\r") for line in lines]
        numbers: list[int] = []
        columns: list[list[str]] = [[] for _ in request.columns]
        for line in lines:
            row = tabbed(line)
            if blank(row, header):
                continue
            if not header:
                header = row
                places = _place(request, header, "\t", block.foreign)
                continue
            number += 1
            fault = None
            if opened[0] or '"' in line:
                opened = _opened(request, line.split("\t"), number, len(header), opened)
            if len(row) != len(header):
                fault = _ragged(row, header, "A line is a row in .tsv: texts with tabs or line breaks fit into .csv")
            else:
                values = [row[place] for place in places]
                if block.foreign:
                    fault = undecodable(values, block.foreign)
            if fault:
                request.bad_rows.add(request.location(number), fault)
                continue
            numbers.append(number)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        yield Piece(numbers, columns, len(block.text))
    if not header:
        request.column_indices([])


def _opened(request: Request, fields: list[str], number: int, width: int, opened: tuple[int, int]) -> tuple[int, int]:
    """The row that opens a quote at its end which may be closed yet, and how many fields it has; zeros for none.

    Raises:
        PotstillError: the line closes it, as the end of a field that has a line break, and has the fields that lack.
    """
    row, before = opened
    first, last = fields[0].replace('""', ""), fields[-1]
    if row and before + len(fields) - 1 == width and first.endswith('"') and first.count('"') == 1:
        raise PotstillError(
            f"{request.location(row)} opens a quote that row {number} closes, and a line is a row in .tsv. Save texts "
            "with line breaks as .csv, .jsonl or .parquet; if they are rows, remove the quotes"
        )
    if last.startswith('"') and '"' not in last[1:].replace('""', ""):
        return number, len(fields)
    return opened if len(fields) == 1 and '"' not in first else (0, 0)


READERS = {"txt": _txt, "csv": _csv, "tsv": _tsv, "jsonl": _jsonl}
