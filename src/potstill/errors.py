"""The one exception that is meant for people, and what others amount to."""

import errno
import re
import sys
from collections.abc import Sequence
from pathlib import PurePath

# A full disk, as Python says it; as libraries in Rust do; as torch does, which does not say why it cannot write.
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TOO = ("No space left on device", "Disk quota exceeded", "enforce fail at inline_container.cc")
TOO_LARGE = "File too large"  # as Python, pyarrow and Rust say EFBIG
# What torch, oneDNN, C++, Rust and Python's own C code say when memory is short; most else raises a MemoryError.
SHORT = (
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "Unable to allocate",
    "std::bad_alloc",
    "could not create a primitive",
    "could not create a memory",
    "can't start new thread",
    "Failed to launch worker thread",
    "error return without exception set",
)
# What of a stage's settings needs memory.
LESS = {
    "ablate": "a smaller `n_jobs`, or a smaller `batch_size`",
    "baseline": "a smaller `batch_size` or `max_length`",
    "label": "a smaller `batch_size`, or fewer `workers`",
    "student": "a smaller `batch_size` or `max_length`",
    "teacher": "a smaller `batch_size` or `max_length`, more `gradient_accumulation_steps`, or fewer `processes`",
}
# What the loader says when a library does not fit into what `ulimit -v` leaves.
UNMAPPED = ("failed to map segment from shared object", "cannot allocate memory", "Cannot allocate memory")
# What pyarrow and safetensors, which a student needs not, raise for a file that is not whole.
DAMAGED = ("ArrowInvalid", "SafetensorError")
# What DVC lets through where its state cannot be written; to import the class takes its time.
DATABASE = "sqlite3.OperationalError"
MAX_NAMES = 20  # classes that a line names


class PotstillError(Exception):
    """A mistake that the user can mend.

    Its text is one line that says what is wrong, names the file or the key, and says what to do.
    """


def visible(text: str) -> str:
    """Return `text` with every character escaped that a terminal would obey or a reader would not see.

    Labels, file names and facts of a model file come from elsewhere: an escape sequence among them could retitle or
    clear the terminal, and a zero-width space would hide why two labels differ. The joiners U+200C and U+200D, which
    Persian, Indic scripts and emoji need, stay.
    """
    return "".join(
        char if char.isprintable() or char in "\u200c\u200d" else char.encode("unicode_escape").decode()
        for char in text
    )


def first_line(error: Exception) -> str:
    """Return the first line of what a library says is wrong, with the error's type where that is half of it.

    A line that ends in a colon goes on in the next one.
    """
    line = next(filter(str.strip, re.sub(r":\s*\n\s*", ": ", str(error)).splitlines()), "")
    return line if line and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {line}"


def join_names(names: Sequence[str]) -> str:
    """Join the names of classes for a line that people read, not all where there are very many."""
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def error_line(error: BaseException) -> str | None:
    """Say in one line what is wrong, and what to do; None if it is a defect of potstill.

    A full disk, too little memory, a package that is not installed, a damaged file and what the operating system
    refuses are the user's to mend, as what a `PotstillError` says.
    """
    reason = str(error) if isinstance(error, PotstillError) else _reason(error)
    # White space is kept within a line: two names in it may differ in just that.
    return None if reason is None else f"error: {visible(' '.join(map(str.strip, reason.splitlines())).strip())}"


def missing_package(package: str | None, extra: str) -> PotstillError:
    """Give the error for a package that an extra of potstill brings; potstill itself is in no index."""
    return PotstillError(f"{package} is not installed. Run `pip install -e '.[{extra}]'` in a clone of potstill.")


def _short(command: str) -> str:
    """What to do where memory is short, in a script of this name."""
    free = "free some, or raise the limit (`ulimit -v`)"
    less = f"less is needed with {LESS[command]}; or " if command in LESS else ""
    return f"memory is short: {less}{free}"


def exhausted(error: BaseException) -> str | None:
    """Say which limit, of disk, file size or memory, is behind an error, if one is; whatever it was raised as."""
    cause: BaseException | None = error
    while cause:
        text = str(cause)
        if getattr(cause, "errno", None) in FULL or any(words in text for words in FULL_TOO):
            return "the disk is full, or a quota is reached: make room, and run this again"
        if getattr(cause, "errno", None) == errno.EFBIG or TOO_LARGE in text:
            name = getattr(cause, "filename", None)
            return f"{name or 'a file'} would be larger than the system lets it be: raise the limit (`ulimit -f`)"
        loaded = isinstance(cause, ImportError) and any(words in text for words in UNMAPPED)
        if loaded or (isinstance(cause, OSError) and UNMAPPED[0] in text):  # as ctypes raises it
            return "memory is short: not even the libraries fit. Free some, or raise the limit (`ulimit -v`)."
        short = isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM
        if short or any(words in text for words in SHORT):
            return _short(PurePath(sys.argv[0]).stem)
        cause = cause.__cause__ or cause.__context__
    return None


def _reason(error: BaseException) -> str | None:
    if reason := exhausted(error):
        return reason
    if isinstance(error, ModuleNotFoundError) and not (error.name or "potstill").startswith("potstill"):
        return str(missing_package(error.name, "train"))
    if isinstance(error, BrokenPipeError):
        return "whoever read the output has gone before the end: run this again"
    if getattr(error, "errno", None) == errno.EBADF:
        return "standard input is closed, or not open for reading: name a file"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if f"{type(error).__module__}.{type(error).__name__}" == DATABASE:
        return (
            f"DVC's database of file states cannot be used ({error}): make room where it is, and allow writing; or set "
            "DVC_SITE_CACHE_DIR to another folder"
        )
    if type(error).__name__ in DAMAGED:
        return f"a file is damaged ({error}): `make verify` finds it if a stage wrote it, then `dvc repro`"
    return None
