"""Results of the steps of a fit, kept in a folder by what they were made of, so that an interrupted fit resumes."""

import fcntl
import os
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from potstill.core import files


class Cache:
    """A folder of results.

    Attributes:
        folder: the folder; a temporary one lives as long as the cache.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        """Use a folder, which is made if it is missing; None for a temporary one."""
        self._temporary = tempfile.TemporaryDirectory(prefix="potstill-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else os.fspath(folder or "")).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, step: str, make: Callable[[Path], object], *key: object) -> Path:
        """Return the folder of a step's result, after making it unless it is there.

        Args:
            step: the name of the step.
            make: writes the result to a path that does not exist yet. A second process with the same key waits.
            key: what the result depends on.
        """
        place = self.place(step, *key)
        with _locked(place.with_name(f"{place.name}.lock")):
            if not place.exists():
                with files.atomic_write(place) as part:
                    make(part)
        return place

    def place(self, step: str, *key: object) -> Path:
        """Return where `get` keeps a result."""
        return self.folder / step / files.cache_key(*key)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that of two fits that need the same result one waits for the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def isolated() -> Iterator[None]:
    """Restore at the end what training sets in the whole process: random states and the number of threads.

    Each step begins, as a stage does in a process of its own, with all threads.
    """
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about how libraries call each other
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_num_threads(states[3])
