"""Rows without a text, which real tables have: they are left out, and that is said."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from potstill.core.errors import PotstillError, visible
from potstill.readers.request import BadRows

_NO_TEXT = "has no text"  # as `readers` words it


@dataclass
class WithoutText(BadRows):
    """Skips rows without a text, and raises at other rows that cannot be read.

    Attributes:
        first: the place of the first row that was skipped.
    """

    count: int | None = 0
    alternative: str = "remove the row"
    first: str = ""

    def add(self, location: str, fault: str) -> None:
        """Count a row without a text.

        Raises:
            BadRowError: something else is wrong with the row.
        """
        if fault != _NO_TEXT:
            BadRows(None, self.alternative).add(location, fault)
        self.first = self.first or location
        self.count = (self.count or 0) + 1

    def keep(self, texts: Iterable[str | None], numbers: Sequence[int], place: str) -> list[int]:
        """Return the indices of the rows that have a text, and count the others.

        Args:
            texts: of the rows.
            numbers: of the rows.
            place: what comes before a row's number in its location, such as "train.csv: row".
        """
        kept = []
        for i, text in enumerate(texts):
            if text is not None and text.strip():
                kept.append(i)
            else:
                self.add(f"{place} {numbers[i]}", _NO_TEXT)
        return kept

    def tell(self, name: str, kept: int) -> None:
        """Print how many rows of a table were skipped, if any.

        Args:
            name: of the table.
            kept: the number of its rows that have a text.

        Raises:
            PotstillError: no row has a text.
        """
        if not self.count:
            return
        if not kept:
            raise PotstillError(f"{name}: no row has a text. Add one.")
        others = f", as {'are' if self.count > 2 else 'is'} {self.count - 1:,} more" if self.count > 1 else ""
        print(visible(f"{self.first} has no text and is left out{others}"), file=sys.stderr)
