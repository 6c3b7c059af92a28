"""Which columns of a table to read, and the errors for columns and rows that cannot be read."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


class BadRowError(PotstillError):
    """A row that has no text to classify."""


@dataclass
class BadRows:
    """What to do with rows that cannot be read.

    Attributes:
        count: how many rows were skipped; None to raise at the first.
        alternative: what can be done instead of correcting a row.
    """

    count: int | None = None
    alternative: str = "skip such rows with --skip-bad"

    def add(self, location: str, fault: str) -> None:
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
        columns: the column, or key, of the text, then those of other values; not used for txt.
        bad_rows: what to do with bad rows.
        unit: how rows are counted, see `row_unit`.
        advice: what to do where a column is missing, by column.
    """

    path: str
    columns: Sequence[str]
    bad_rows: BadRows
    unit: str
    advice: Mapping[str, str] = field(default_factory=dict)

    def location(self, number: int) -> str:
        """Return the place of a row, for a message."""
        return f"{display_name(self.path)}: {self.unit} {number}"

    def missing_column(self, column: str, found: Sequence[str], separator: str = "") -> PotstillError:
        """Return the error for a column that is missing, with its probable cause."""
        return PotstillError(f"{display_name(self.path)}: no column {self.missing(column, found, separator)}.")

    def missing(self, name: str, found: Sequence[str], separator: str = "") -> str:
        """Return the missing column or key in quotes, those that were found, and what to do.

        Args:
            name: the column or key.
            found: the names of the columns or keys that are there.
            separator: of the fields, in csv and tsv.
        """
        has = ", ".join(map(quoted, found)) or "none"
        has = has if len(has) <= 300 else f"{has[:300]}…"
        advice = self.advice.get(name, "Name one with --column")
        if separator and len(found) == 1:
            for other, other_name in _DELIMITERS.items():
                if other != separator and name in [part.strip(' "') for part in found[0].split(other)]:
                    needed = _DELIMITERS[separator]
                    advice = f"The columns are separated by {other_name}, not by {needed}: save the file with {needed}"
                    if other in ",\t":
                        advice += f", or rename it to {'.csv' if other == ',' else '.tsv'}"
        if found and found[0].lower().startswith("sep="):
            advice = "The first line is for Excel only: remove it"
        similar = next((other for other in found if folded(other) == folded(name)), None)
        if similar is not None:
            advice = f"{quoted(similar)} differs from it only in {describe_difference(similar, name)}. {advice}"
        return f"{quoted(name)} (found: {has}). {advice}"

    def column_indices(self, header: Sequence[str], separator: str = "") -> list[int]:
        """Return the index of each column in the header.

        Raises:
            PotstillError: the file has no header, a column is missing, or the header has it twice.
        """
        if not header:
            raise PotstillError(f"{display_name(self.path)}: the file is empty.")
        for column in self.columns:
            if column not in header:
                raise self.missing_column(column, header, separator)
            if header.count(column) > 1:
                same = f"{header.count(column)} columns are named {quoted(column)}"
                raise PotstillError(f"{display_name(self.path)}: {same}. Rename all but one.")
        return [header.index(column) for column in self.columns]


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
