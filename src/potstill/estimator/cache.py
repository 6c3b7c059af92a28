"""Results of the steps of a fit, kept in a folder by what they were made of, so that an interrupted fit resumes."""

import fcntl
import inspect
import os
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from potstill.core import files
from potstill.core.errors import PotstillError


class Cache:
    """A folder of results.

    Attributes:
        folder: the folder; a temporary one lives as long as the cache.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        """Use a folder, which is made if it is missing; None for a temporary one.

        Raises:
            PotstillError: there is a file of that name.
        """
        self._temporary = tempfile.TemporaryDirectory(prefix="potstill-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else os.fspath(folder or "")).resolve()
        if self.folder.exists() and not self.folder.is_dir():
            raise PotstillError(f"{folder!s}: not a folder. Name one for the results of all steps.")
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


def code_key(function: Callable[..., Any]) -> str:
    """Return a hash of the source of a function, and of the strings and numbers that it refers to or holds.

    So a function is recognized in another process. Other state does not count, such as a connection or a counter. A
    function without Python source is never recognized.
    """
    if isinstance(function, partial):
        constants = [*function.args, *sorted(function.keywords.items())]
        return files.cache_key(code_key(function.func), constants)
    called = function if inspect.isroutine(function) else type(function).__call__
    try:
        own, source = inspect.unwrap(getattr(called, "__func__", called)), inspect.getsource(called)
        used = _names(own.__code__)
        closure = zip(own.__code__.co_freevars, own.__closure__ or (), strict=True)
        values = {name: value for name, value in own.__globals__.items() if name in used}
        values |= {name: cell.cell_contents for name, cell in closure} | getattr(function, "__dict__", {})
    except (AttributeError, OSError, TypeError, ValueError):
        return os.urandom(8).hex()
    known = {name: value for name, value in values.items() if isinstance(value, str | int | float | bytes)}
    helpers = [inspect.getsource(value) for value in values.values() if inspect.isfunction(value)]
    return files.cache_key(source, sorted(known.items()), helpers)


def _names(code: CodeType) -> set[str]:
    """Return the global names that a function and the functions in it use."""
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names, nested))


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
