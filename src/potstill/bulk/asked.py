"""What is asked of a table, and what is said of it where it cannot be had."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.bulk.formats import Format
from potstill.bulk.open import display_name
from potstill.errors import PotstillError

# What Unicode calls default-ignorable beside format characters: fillers, selectors of a variant. They show nothing.
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass
class Batch:
    """Some rows of a file.

    Attributes:
        texts: a list of strings, or an Arrow array.
        numbers: which rows they are, from 1; of txt and jsonl, which lines.
        others: the values of the other columns asked for, a list for each.
    """

    texts: Any
    numbers: Sequence[int]
    others: Sequence[list[Any]] = ()


class BadRowError(PotstillError):
    """A row that has no text to score."""


@dataclass
class BadRows:
    """What to do with bad rows.

    Attributes:
        count: how many were left out; None where the first ends it all.
        advice: ends the message.
    """

    count: int | None = None
    advice: str = "Correct it, or leave such rows out with --skip-bad"

    def take(self, where: str, fault: str) -> None:
        """Count a bad row, or raise."""
        if self.count is None:
            raise BadRowError(f"{where} {fault}. {self.advice}")
        self.count += 1


@dataclass(frozen=True)
class Request:
    """What to read of a table.

    Attributes:
        path: the file, or `-` for standard input.
        columns: the column, or key, of the text, and those of other values; not used for txt.
        bad: what to do with bad rows.
        advice: what to do where a column is missing, such as "Name one with --column".
        unit: how rows are counted.
    """

    path: str
    columns: Sequence[str]
    bad: BadRows
    advice: Callable[[str], str]
    unit: str

    def where(self, number: int) -> str:
        """Name a row in a message."""
        return f"{display_name(self.path)}: {self.unit} {number}"

    def missing(self, column: str, found: Sequence[str], separator: str = "") -> PotstillError:
        """Say that a column is missing, with the cause where it can be told."""
        name = display_name(self.path)
        has = ", ".join(map(quoted, found)) or "none"
        has = has if len(has) <= 300 else f"{has[:300]}…"
        cause = f"{self.advice(column)}"
        if separator and len(found) == 1:
            for other, called in _DELIMITERS.items():
                if other != separator and column in [part.strip(' "') for part in found[0].split(other)]:
                    wanted = _DELIMITERS[separator]
                    cause = f"The columns are separated by {called}, not by {wanted}: save the file with {wanted}"
                    if other in ",\t":
                        cause += f", or give it the ending {'.csv' if other == ',' else '.tsv'}"
        if found and found[0].lower().startswith("sep="):
            cause = "The first line is for Excel only: remove it"
        for other in found:
            if folded(other) == folded(column):
                cause = f"{quoted(other)} differs from it only in {describe_difference(other, column)}. {cause}"
                break
        return PotstillError(f"{name} has no column {quoted(column)} (found: {has}). {cause}")

    def place(self, header: Sequence[str], separator: str = "") -> list[int]:
        """Where the columns are."""
        for column in self.columns:
            if column not in header:
                raise self.missing(column, header, separator)
            if header.count(column) > 1:
                raise PotstillError(
                    f"{display_name(self.path)} has {header.count(column)} columns named {quoted(column)}. Rename all but one"
                )
        return [header.index(column) for column in self.columns]


def quoted(name: str) -> str:
    """A name in quotes, such that what looks like another is seen to differ."""
    return repr(name) if rendered(name) == name else ascii(name)


def rendered(name: str) -> str:
    """What a reader sees of a name: without invisible characters, Unicode forms and kinds of white space."""
    seen = _IGNORABLE.sub("", unicodedata.normalize("NFC", name)).replace("\u2800", " ")
    return " ".join("".join(char for char in seen if unicodedata.category(char) != "Cf").split())


def folded(name: str) -> str:
    """The form in which names are compared to find those that are probably meant to be the same."""
    return unicodedata.normalize("NFKC", rendered(name)).casefold()


def describe_difference(one: str, other: str) -> str:
    """In what two names differ that are `alike`."""
    if rendered(one) != rendered(other):
        return "case" if rendered(one).lower() == rendered(other).lower() else "the form of its characters"
    if "".join(one.split()) != "".join(other.split()):
        return "invisible characters or the Unicode form"
    return "white space"


def row_unit(kind: Format) -> str:
    """How rows are counted in a format: as lines, or as rows without the header."""
    return "line" if kind in ("txt", "jsonl") else "row"
