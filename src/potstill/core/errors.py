"""Errors that the user can fix, as one line, and recognising those that libraries raise."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import PurePath

SURROGATE = re.compile("[\ud800-\udfff]")  # how Python keeps bytes that it cannot decode; no valid text has any
MAX_NAMES = 20  # classes that a line lists

# Messages of libraries that give neither a type nor an errno, each with the version that it was seen in.
_DISK_FULL = ("enforce fail at inline_container.cc",)  # torch 2.13, `torch.save`
_OUT_OF_MEMORY = (
    "out of memory",  # torch 2.13, CUDA
    "can't allocate memory",  # torch 2.13, CPU
    "could not create a primitive",  # oneDNN in torch 2.13
    "could not create a memory",  # oneDNN in torch 2.13
    "std::bad_alloc",  # C++ in torch 2.13 and pyarrow 26.0
    "Failed to launch worker thread",  # pyarrow 26.0
    "can't start new thread",  # CPython 3.11, RuntimeError
    "error return without exception set",  # CPython 3.11, SystemError
)
_LIBRARY_NOT_LOADED = "failed to map segment from shared object"  # glibc 2.36
_NO_ROOM_FOR_LIBRARY = "cannot allocate memory"  # glibc 2.36, "in static TLS block"
# Types of libraries that are not imported here, as not every command needs them.
_DAMAGED_FILE = ("ArrowInvalid", "SafetensorError")
_DVC_DATABASE = "sqlite3.OperationalError"

# The settings of a stage that take less memory.
_LESS_MEMORY = {
    "ablate": "a smaller `n_jobs`, or a smaller `batch_size`",
    "baseline": "a smaller `batch_size` or `max_length`",
    "label": "a smaller `batch_size`, or fewer `workers`",
    "student": "a smaller `batch_size` or `max_length`",
    "teacher": "a smaller `batch_size` or `max_length`, more `gradient_accumulation_steps`, or fewer `processes`",
}


class PotstillError(Exception):
    """An error that the user can fix.

    Its message is one line: the file or key, what is wrong, what was found, and what to do.
    """


class MissingPackageError(PotstillError, ImportError):
    """A package that an extra of potstill installs is missing."""


def visible(text: str) -> str:
    """Return `text` with every character escaped that controls a terminal or is invisible.

    Labels, file names and facts of a model file are untrusted: an escape sequence in them could retitle or clear the
    terminal, and a zero-width space would hide why two labels differ. The joiners U+200C and U+200D, which Persian,
    Indic scripts and emoji need, stay.
    """
    return "".join(
        char if char.isprintable() or char in "\u200c\u200d" else char.encode("unicode_escape").decode()
        for char in text
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, with its type unless it is an OSError or a ValueError.

    A line that ends in a colon is joined to the next.
    """
    line = next(filter(str.strip, re.sub(r":\s*\n\s*", ": ", str(error)).splitlines()), "")
    return line if line and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {line}"


def join_names(names: Sequence[str]) -> str:
    """Join names, such as those of classes, for a message; at most `MAX_NAMES` of them."""
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def missing_package(package: str | None, extra: str) -> MissingPackageError:
    """Return the error for a package that an extra of potstill installs; potstill itself is on no index."""
    return MissingPackageError(f"{package} is not installed. Run `pip install -e '.[{extra}]'` in a clone of potstill.")


def error_line(error: BaseException) -> str | None:
    """Return the line to print for an error that the user can fix; None if it is a defect of potstill.

    Beside `PotstillError` these are a full disk, too little memory, a package that is not installed, a damaged file and
    errors of the operating system.
    """
    reason = str(error) if isinstance(error, PotstillError) else _reason(error)
    # White space within a line is kept: two names in it may differ in it only.
    return None if reason is None else f"error: {visible(' '.join(map(str.strip, reason.splitlines())).strip())}"


def exhausted(error: BaseException) -> str | None:
    """Return the message if a limit of disk space, file size or memory caused an error, else None."""
    cause: BaseException | None = error
    while cause:
        if message := _limit(cause):
            return message
        cause = cause.__cause__ or cause.__context__
    return None


def _limit(error: BaseException) -> str | None:
    """Return the message if an error itself reports a limit."""
    text = str(error)
    if _has_errno(error, errno.ENOSPC, errno.EDQUOT) or any(words in text for words in _DISK_FULL):
        return "the disk is full, or a quota is reached. Free some space, and run this again."
    if _has_errno(error, errno.EFBIG):
        name = getattr(error, "filename", None) or "a file"
        return f"{name}: it would exceed the limit on file size. Raise the limit (`ulimit -f`)."
    no_memory = isinstance(error, MemoryError) or _has_errno(error, errno.ENOMEM)
    not_loaded = isinstance(error, ImportError | OSError) and _LIBRARY_NOT_LOADED in text  # ctypes raises OSError
    if not_loaded or (isinstance(error, ImportError) and (no_memory or _NO_ROOM_FOR_LIBRARY in text)):
        return "out of memory while loading libraries. Free some, or raise the limit (`ulimit -v`)."
    if no_memory or any(words in text for words in _OUT_OF_MEMORY):
        less = _LESS_MEMORY.get(PurePath(sys.argv[0]).stem)
        advice = f"Set {less}; or free some" if less else "Free some"
        return f"out of memory. {advice}, or raise the limit (`ulimit -v`)."
    return None


def _has_errno(error: BaseException, *codes: int) -> bool:
    """Return whether an error is one of the operating system's; Rust and Arrow put it into the message only."""
    text = str(error)
    return getattr(error, "errno", None) in codes or any(os.strerror(code) in text for code in codes)


def _reason(error: BaseException) -> str | None:
    if reason := exhausted(error):
        return reason
    if isinstance(error, ModuleNotFoundError) and not (error.name or "potstill").startswith("potstill"):
        return str(missing_package(error.name, "train"))
    if isinstance(error, BrokenPipeError):
        return "the reader of the output closed it before the end. Run this again."
    if getattr(error, "errno", None) == errno.EBADF:
        return "standard input: it is closed, or not open for reading. Name a file."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if f"{type(error).__module__}.{type(error).__name__}" == _DVC_DATABASE:
        return (
            f"DVC cannot use its database of file states ({error}). Free some space and allow writing where it is; or "
            "set DVC_SITE_CACHE_DIR to another folder."
        )
    if type(error).__name__ in _DAMAGED_FILE:
        return f"a file is damaged ({error}). Run `make verify` to find it if a stage wrote it, then `dvc repro`."
    return None
