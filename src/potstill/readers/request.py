"""Which columns of a table to read, and the errors for columns and rows that cannot be read."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from potstill.core.errors import PotstillError
from potstill.readers.formats import Format
from potstill.readers.open import display_name

# Characters that Unicode calls default-ignorable, in addition to format characters: fillers and variation selectors.
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass
class Batch:
    """Rows of a table.

    Attributes:
        texts: a list of strings, or an Arrow array.
        numbers: the rows' numbers, from 1; line numbers for txt and jsonl.
        others: the values of the other requested columns, a list for each.
    """

    texts: Any
    numbers: Sequence[int]
    others: Sequence[list[Any]] = ()


class Location(NamedTuple):
    """The place of a row, which as a string is "train.csv: row 8".

    Attributes:
        name: of the file, or of the split of a data set.
        unit: how it counts rows, `row` or `line`.
        number: of the row.
    """

    name: str
    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}: {self.unit} {self.number}"


class BadRowError(PotstillError):
    """A row that has no text to classify."""


NO_TEXT = "has no text"
"""The fault of a row without a text."""

Advise = Callable[[Sequence[str]], str]
"""Returns, given the columns that are missing, what to do, without the full stop."""


def join(parts: Iterable[str | None]) -> str:
    """Return the text of a row with several text columns: those that are not blank, joined by a space."""
    return " ".join(part for part in parts if part and not part.isspace())


@dataclass
class BadRows:
    """What to do with rows that cannot be read.

    Attributes:
        count: how many rows were skipped; None to raise at the first.
        alternative: what can be done instead of correcting a row.
    """

    count: int | None = None
    alternative: str = "skip such rows with --skip-bad"

    def add(self, location: Location, fault: str) -> None:
        """Count a bad row, whose fault ends in a full stop if it says what to do.

        Raises:
            BadRowError: rows are not to be skipped.
        """
        if self.count is None:
            advice = " Or" if fault.endswith(".") else ". Correct it, or"
            raise BadRowError(f"{location} {fault}{advice} {self.alternative}.")
        self.count += 1


@dataclass(frozen=True)
class Request:
    """What to read of a table.

    Attributes:
        path: the file, or `-` for standard input.
        columns: the columns, or keys, of the text, then those of other values; not used for txt.
        bad_rows: what to do with bad rows.
        unit: how rows are counted, see `row_unit`.
        texts: how many columns hold the text. Several are joined, see `join`.
        as_is: whether the other columns are only carried along: of any type, and no evidence of where a row ends.
        advise: what to do where columns are missing.
    """

    path: str
    columns: Sequence[str]
    bad_rows: BadRows
    unit: str
    texts: int = 1
    as_is: bool = False
    advise: Advise = lambda missing: "Name one with --text"

    def location(self, number: int) -> Location:
        """Return the place of a row, for a message."""
        return Location(display_name(self.path), self.unit, number)

    def missing_columns(self, missing: Sequence[str], found: Sequence[str], separator: str = "") -> PotstillError:
        """Return the error for columns that are missing, with its probable cause."""
        which = self.missing("column", missing, found, separator)
        return PotstillError(f"{display_name(self.path)}: no {which}.")

    def missing(self, kind: str, missing: Sequence[str], found: Sequence[str], separator: str = "") -> str:
        """Return the missing columns or keys in quotes, those that were found, and what to do.

        Args:
            kind: `column` or `key`.
            missing: the names of those that are missing.
            found: the names of those that are there.
            separator: of the fields, in csv and tsv.
        """
        has = ", ".join(map(quoted, found)) or "none"
        has = has if len(has) <= 300 else f"{has[:300]}…"
        advice = _other_delimiter(missing, found, separator)
        if found and found[0].lower().startswith("sep="):
            advice = "The first line is for Excel only: remove it"
        similar = [(other, name) for name in missing for other in found if folded(other) == folded(name)]
        if similar:
            other, name = similar[0]
            its = "it" if len(missing) == 1 else quoted(name)
            differs = f"{quoted(other)} differs from {its} only in {describe_difference(other, name)}"
            advice = f"{differs}. {advice or self.advise(missing)}"
        names = " and ".join(filter(None, [", ".join(map(quoted, missing[:-1])), quoted(missing[-1])]))
        advice = advice or self.advise(missing)
        if separator and any(len(name.split()) > 2 for name in found):
            advice += ". If that row is a text, add one above it with the names of the columns"
        return f"{kind}{'s' * (len(missing) > 1)} {names} (found: {has}). {advice}"

    def column_indices(self, header: Sequence[str], separator: str = "") -> list[int]:
        """Return the index of each column in the header.

        Raises:
            PotstillError: the file has no header, a column is missing, or the header has it twice.
        """
        if not header:
            raise PotstillError(f"{display_name(self.path)}: the file is empty.")
        if missing := [column for column in dict.fromkeys(self.columns) if column not in header]:
            raise self.missing_columns(missing, header, separator)
        for column in self.columns:
            if header.count(column) > 1:
                same = f"{header.count(column)} columns are named {quoted(column)}"
                raise PotstillError(f"{display_name(self.path)}: {same}. Rename all but one.")
        return [header.index(column) for column in self.columns]


def _other_delimiter(missing: Sequence[str], found: Sequence[str], separator: str) -> str:
    """Return what to do with a table whose columns another character separates; empty if none does."""
    for other, name in _DELIMITERS.items() if separator and len(found) == 1 else ():
        if other != separator and set(missing) & {part.strip(' "') for part in found[0].split(other)}:
            needed = _DELIMITERS[separator]
            rename = f", or rename it to {'.csv' if other == ',' else '.tsv'}" if other in ",\t" else ""
            return f"The columns are separated by {name}, not by {needed}: save the file with {needed}{rename}"
    return ""


def quoted(name: str) -> str:
    """Return a name in quotes; escaped where it could be taken for another that looks the same."""
    return repr(name) if rendered(name) == name else ascii(name)


def rendered(name: str) -> str:
    """Return what a reader sees of a name: NFC, single spaces, no invisible characters."""
    seen = _IGNORABLE.sub("", unicodedata.normalize("NFC", name)).replace("\u2800", " ")
    return " ".join("".join(char for char in seen if unicodedata.category(char) != "Cf").split())


def folded(name: str) -> str:
    """Return the form in which names are compared to find those that are probably meant to be the same."""
    return unicodedata.normalize("NFKC", rendered(name)).casefold()


def describe_difference(one: str, other: str) -> str:
    """Describe in what two names differ that are equal when `folded`."""
    if rendered(one) != rendered(other):
        return "case" if rendered(one).lower() == rendered(other).lower() else "the form of its characters"
    if "".join(one.split()) != "".join(other.split()):
        return "invisible characters or the Unicode form"
    return "white space"


def row_unit(kind: Format) -> str:
    """Return how rows of a format are counted: as lines, or as rows without the header."""
    return "line" if kind in ("txt", "jsonl") else "row"
