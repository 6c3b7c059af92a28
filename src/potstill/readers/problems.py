"""Collecting the problems of a table, so that one message has them all."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from potstill.core.errors import PotstillError, visible
from potstill.readers.request import NO_TEXT, BadRows, Location

KEPT = 1000  # different faults that are kept
FAULTS = 5  # that a message describes
ROWS = 4  # that it names for each


@dataclass
class _Fault:
    """What is wrong with some rows: the first of them in their order, and their number."""

    first: list[Location]
    count: int = 0

    def add(self, location: Location) -> None:
        self.first = sorted([*self.first, location])[:ROWS]
        self.count += 1


@dataclass
class Problems(BadRows):
    """The bad rows of a table, or of several, which are raised together at the end.

    Rows without a text, which real tables have, are left out, and that is printed.

    Attributes:
        without_text: the rows without a text.
        faults: the bad rows, by file and fault.
        others: the number of bad rows once there are too many different faults.
    """

    alternative: str = "remove the row"
    without_text: _Fault = field(default_factory=lambda: _Fault([]))
    faults: dict[tuple[str, str], _Fault] = field(default_factory=dict)
    others: int = 0

    def add(self, location: Location, fault: str) -> None:
        """Count a bad row, whose fault ends in a full stop if it says what to do."""
        if fault == NO_TEXT:
            self.without_text.add(location)
        elif len(self.faults) >= KEPT:
            self.others += 1
        else:
            self.faults.setdefault((location.name, fault), _Fault([])).add(location)

    def tell(self, name: str, kept: int) -> None:
        """Print how many rows were left out, if any.

        Args:
            name: of the table.
            kept: the number of its rows that have a text.

        Raises:
            PotstillError: no row is left.
        """
        left_out, more = self.without_text, self.without_text.count - 1
        if not kept and not self.faults:
            fault = "no row has a text. Add one." if left_out.count else "no rows. Add at least one."
            raise PotstillError(f"{name}: {fault}")
        if left_out.count:
            others = f", as {'are' if more > 1 else 'is'} {more:,} more" if more else ""
            print(visible(f"{left_out.first[0]} has no text and is left out{others}"), file=sys.stderr)

    def check(self, last: PotstillError | None = None) -> None:
        """Raise all problems, if there are any.

        Args:
            last: the problem that ended the reading.

        Raises:
            PotstillError: there is a problem. Its message describes at most `FAULTS` of them.
        """
        ordered = sorted(self.faults.items(), key=lambda item: item[1].first[0])
        sentences, named = [], ""
        for (name, fault), rows in ordered[:FAULTS]:
            found = _sentence(fault, rows, self.alternative)
            sentences.append(found[:1].upper() + found[1:] if name == named else f"{name}: {found}")
            named = name
        if others := self.others + sum(rows.count for _, rows in ordered[FAULTS:]):
            sentences.append(f"There {'are' if others > 1 else 'is'} {others:,} more such row{'s' * (others > 1)}.")
        if last:
            found = str(last).removeprefix(f"{named}: ")
            sentences.append(str(last) if found == str(last) else found[:1].upper() + found[1:])
        if sentences:
            raise PotstillError(" ".join(sentences)) from None

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Add the bad rows that were found before to an error that ends the block.

        Raises:
            PotstillError: the block raised one.
        """
        try:
            yield
        except PotstillError as error:
            self.check(error)


def _sentence(fault: str, rows: _Fault, alternative: str) -> str:
    """Return what is wrong with some rows of a file, and what to do."""
    place, *others = rows.first
    also = ""
    if others:
        numbers = [f"{location.number:,}" for location in others]
        more = rows.count - len(rows.first)
        numbers = [*numbers, f"{more:,} more"] if more else numbers
        also = f" (also {' and '.join([', '.join(numbers[:-1]), numbers[-1]] if numbers[1:] else numbers)})"
    found = f"{place.unit} {place.number}{also} {fault}"
    return found if fault.endswith(".") else f"{found}. Correct it, or {alternative}."
