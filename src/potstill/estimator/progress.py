"""One line for every step of a fit, and a bar for the long ones; in notebooks too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from potstill.core.errors import visible


def silent(_: Any) -> None:
    """Show nothing; it can be pickled, for the processes of a training."""


class Progress:
    """Prints the steps of a fit, unless it is silent.

    Attributes:
        verbose: whether it prints.
    """

    def __init__(self, verbose: bool, steps: int) -> None:
        """Begin, with the number of steps."""
        self.verbose = verbose
        self._steps, self._done = steps, 0

    def say(self, line: str) -> None:
        """Print a line."""
        if self.verbose:
            tqdm.write(visible(line))

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step, and print its line at the end; the block adds to the list what is to be said of the result."""
        start = time.monotonic()
        self._done += 1
        said: list[str] = []
        yield said
        self.say(f"[{self._done}/{self._steps}] {name}: {' '.join(said)} ({duration(time.monotonic() - start)})")

    def bar(self, total: int, unit: str, name: str) -> Any:
        """Return a progress bar, which disappears at the end."""
        return tqdm(total=total, unit=unit, desc=name, leave=False, mininterval=1, disable=not self.verbose)


def duration(seconds: float) -> str:
    """Return a duration for people, in two units at most."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
