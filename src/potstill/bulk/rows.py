"""The rows of text formats: what a line, a quote and a blank line mean in each, and what makes a row bad."""

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from potstill.bulk.asked import Asked, quoted
from potstill.bulk.open import BLOCK, LONGEST, Block, shown
from potstill.errors import PotstillError, visible

csv.field_size_limit(LONGEST)  # csv's own bound is a text of 131,072 characters

_SURROGATE = re.compile("[\ud800-\udfff]")


class Piece(NamedTuple):
    """Rows on their way into a batch: their numbers, the columns asked for, and how many characters they have."""

    numbers: Sequence[int]
    columns: list[list[Any]]
    size: int


def _txt(asked: Asked, read: Iterator[Block]) -> Iterator[Piece]:
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
                    asked.bad.take(asked.where(number), fault)
                else:
                    good.append((number, text))
            numbers, texts = [number for number, _ in good], [text for _, text in good]
        yield Piece(numbers, [texts], len(block.text))


def _undecodable(value: Any, foreign: str | None) -> str | None:
    """What is wrong with a value that has surrogates, of which no text can have any."""
    found = _SURROGATE.search(value) if isinstance(value, str) and not value.isascii() else None
    if not found:
        return None
    if foreign and "\udc80" <= found[0] <= "\udcff":
        return f"has a byte that is not UTF-8 (0x{ord(found[0]) - 0xDC00:02x}){foreign}"
    return half(found[0])


def half(surrogate: str) -> str:
    """What is wrong with a text that has half of a surrogate pair, this one."""
    return f"has half of a surrogate pair ({ascii(surrogate)[1:-1]}), which is no character"


def parse(line: str) -> Any:
    """Parse a line of JSONL.

    Raises:
        JSONDecodeError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than Python reads, maybe in a column that nobody asked for
        return json.loads(line, parse_int=_number)


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= 640 else float(digits)  # 640 are read whatever Python's limit is


def _jsonl(asked: Asked, read: Iterator[Block]) -> Iterator[Piece]:
    """Every line is an object; blank lines are passed over."""
    text, *others = asked.columns
    keys = [json.dumps(column, ensure_ascii=False) for column in asked.columns]
    for block in read:
        suspect = block.foreign is not None or "\\ud" in block.text or "\\uD" in block.text
        numbers: list[int] = []
        columns: list[list[Any]] = [[] for _ in asked.columns]
        texts = columns[0]
        for number, line in enumerate(block.text.split("\n"), block.line):
            if not line or line.isspace():
                continue
            try:
                row = json.loads(line)
                value = row[text]
                good = type(value) is str
            except (ValueError, RecursionError, TypeError, LookupError):
                good = False
            if not good or suspect or others or line.count(keys[0]) > 1:
                row, fault = _object(asked, line, keys, block.foreign, number)
                if fault:
                    asked.bad.take(asked.where(number), fault)
                    continue
                value = row[text]
                for column, values in zip(others, columns[1:], strict=True):
                    values.append(row[column])
            texts.append(value)
            numbers.append(number)
        yield Piece(numbers, columns, len(block.text))


def _object(
    asked: Asked, line: str, keys: list[str], foreign: str | None, number: int
) -> tuple[dict[str, Any], str | None]:
    """A line of JSONL with care: the object, and what is wrong with it."""
    try:
        row = parse(line)
    except RecursionError:
        return {}, "is nested too deeply"
    except json.JSONDecodeError as error:
        return {}, f"is not valid JSON ({error.msg}, column {error.colno})"
    if not isinstance(row, dict):
        return {}, f"holds {_short(row)}, which is not an object such as {{{keys[0]}: …}}"
    for key, column in zip(keys, asked.columns, strict=True):
        if line.count(key) > 1:
            _refuse_repeated(line, column, asked.where(number))
        if column not in row:
            return row, _no_key(asked, row, column)
    values = [row[column] for column in asked.columns]
    return row, no_text(values[0]) or next(filter(None, (_undecodable(value, foreign) for value in values)), None)


def _no_key(asked: Asked, row: dict[str, Any], column: str) -> str:
    message = str(asked.missing(column, list(row)))
    return message.removeprefix(shown(asked.path) + " ").removesuffix(".").replace("has no column", "has no key", 1)


def _refuse_repeated(line: str, column: str, where: str) -> None:
    pairs: list[tuple[str, Any]] = []

    def outermost(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal pairs
        pairs = found  # of the outermost object at last
        return {}

    json.loads(line, object_pairs_hook=outermost, parse_int=float)
    if [key for key, _ in pairs].count(column) > 1:
        raise PotstillError(f"{where} has the key {quoted(column)} twice. Rename one of them")


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


def _csv(asked: Asked, read: Iterator[Block]) -> Iterator[Piece]:
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
    name = shown(asked.path)
    number, start = 0, 1
    header: list[str] = []
    places: list[int] = []
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in asked.columns]
    size = 0
    spans = _Spans(asked)
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
                asked.place([head], ",")  # another delimiter, maybe
            if parsed.line_num > start or not header:
                opened = f"row {number + 1} (line {start})" if header else f"line {start}"
                raise PotstillError(
                    f"{name}: {opened} opens a quote that is not closed as it should be ({error}, line "
                    f"{parsed.line_num}), and so swallows the rows after it. Close it, or double the quotes within a "
                    "quoted field"
                ) from None
            number += 1
            start = parsed.line_num + 1
            asked.bad.take(asked.where(number), f"is not valid CSV ({error}). Double the quotes within a quoted field")
            continue
        first, start = start, parsed.line_num + 1
        if not row:
            continue  # a blank line
        if not header:
            header = row
            places = asked.place(header, ",")
            continue
        if len(row) != len(header):
            if blank(row, header):
                continue
            number += 1
            asked.bad.take(asked.where(number), _ragged(row, header, "Put texts that hold a comma in quotes"))
            continue
        number += 1
        values = [row[place] for place in places]
        if foreign and (fault := next(filter(None, (_undecodable(value, foreign) for value in values)), None)):
            asked.bad.take(asked.where(number), fault)
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
            numbers, columns, size = [], [[] for _ in asked.columns], 0
    if not header:
        asked.place([])
    spans.tell()
    yield Piece(numbers, columns, size)


def blank(row: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row is a blank line; one of white space is a text where there is one column only."""
    return not row or row == [""] or (len(row) == 1 < len(header) and row[0].isspace())


def _ragged(row: Sequence[str], header: Sequence[str], advice: str) -> str:
    plural = "s" * (len(row) != 1)
    return f"has {len(row)} field{plural}, and the header has {len(header)}. {advice}"


@dataclass
class _Spans:
    """The rows of a CSV that span several lines: genuine, or merged by two stray quotes.

    Where labels are read, a merged row is one of which every line would be a row by itself: it has as many fields as
    the header, and a label that other rows have.
    """

    asked: Asked
    count: int = 0
    first: str = ""
    labels: set[str] = field(default_factory=set)
    suspects: list[tuple[str, str, set[str]]] = field(default_factory=list)

    def seen(self, values: list[str]) -> None:
        if len(values) == 2 and len(self.labels) < 10_000:
            self.labels.add(values[1].strip())

    def note(self, number: int, start: int, end: int, row: list[str], places: list[int]) -> None:
        where = f"row {number} (lines {start} to {end})"
        self.first = self.first or where
        self.count += 1
        self.seen([row[place] for place in places])
        lines = _unmerged(row)
        if len(places) == 2 and len(self.suspects) < 10_000 and all(len(line) == len(row) for line in lines):
            labels = {line[places[1]].strip() for line in lines}
            self.suspects.append((where, ",".join(lines[0]), labels))

    def tell(self) -> None:
        name = shown(self.asked.path)
        for where, line, labels in self.suspects:
            if labels <= self.labels:
                raise PotstillError(
                    f"{name}: {where} opens a quote that a later line closes, and swallows the row {line[:60]!r} and "
                    "what lies between. Remove the quotes, or double them within a quoted field; if it is one row, "
                    "save the table as .jsonl or .parquet, where no line break is in doubt"
                )
        if self.count:
            many = f"{self.count:,} rows span" if self.count > 1 else "1 row spans"
            told = f"{name}: {many} several lines, as quotes say; the first is {self.first}"
            print(visible(told), file=sys.stderr)


def _unmerged(row: list[str]) -> list[list[str]]:
    """The fields of every line of a row that spans several, as if the quotes around line breaks were characters."""
    lines: list[list[str]] = [[]]
    for value in row:
        first, *others = [line.removesuffix("\r").split(",") for line in value.split("\n")]
        lines[-1] += first if others else [value]
        lines += others
    return lines


def tabbed(line: str) -> list[str]:
    """The fields of a line of TSV: quotes around a whole field are removed, any other is a character."""
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter="\t", strict=True))
        except csv.Error:
            pass
    return line.split("\t")


def _tsv(asked: Asked, read: Iterator[Block]) -> Iterator[Piece]:
    """Every line is a row.

    Many TSVs are written without quoting, and their texts begin with quotes that nothing closes: so no quote reaches
    beyond its line. Where there is one column only, a line in which a quoted field goes on looks like a row: refused.
    """
    header: list[str] = []
    places: list[int] = []
    number = 0
    opened = 0
    for block in read:
        lines = block.text.split("\n")
        if "\r" in block.text:
            lines = [line.removesuffix("\r") for line in lines]
        numbers: list[int] = []
        columns: list[list[str]] = [[] for _ in asked.columns]
        for line in lines:
            row = tabbed(line)
            if blank(row, header):
                continue
            if not header:
                header = row
                places = asked.place(header, "\t")
                continue
            number += 1
            fault = None
            if len(header) == 1:
                opened = _opened(asked, line, number, opened)
            if len(row) != len(header):
                fault = _ragged(row, header, "A line is a row in .tsv: texts with tabs or line breaks fit into .csv")
            else:
                values = [row[place] for place in places]
                if block.foreign:
                    fault = next(filter(None, (_undecodable(value, block.foreign) for value in values)), None)
            if fault:
                asked.bad.take(asked.where(number), fault)
                continue
            numbers.append(number)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        yield Piece(numbers, columns, len(block.text))
    if not header:
        asked.place([])


def _opened(asked: Asked, line: str, number: int, opened: int) -> int:
    """The row of a table of one column that opens a quote which may be closed yet; 0 if there is none.

    Raises:
        PotstillError: the line closes it, as the end of a field that has a line break.
    """
    single = line.replace('""', "") if '"' in line else ""
    if opened and single.endswith('"') and single.count('"') == 1:
        raise PotstillError(
            f"{asked.where(opened)} opens a quote that row {number} closes, and a line is a row in .tsv. Save texts "
            "with line breaks as .csv, .jsonl or .parquet; if they are rows, remove the quotes"
        )
    if line.startswith('"') and '"' not in line[1:].replace('""', ""):
        return number
    return 0 if single else opened


READERS = {"txt": _txt, "csv": _csv, "tsv": _tsv, "jsonl": _jsonl}
