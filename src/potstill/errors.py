"""The one exception that is meant for people, and what a stage script does with it."""

import errno
import sys
from collections.abc import Callable

# A full disk, as Python says it; as libraries in Rust do; as torch does, which does not say why it cannot write.
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TOO = ("No space left on device", "Disk quota exceeded", "enforce fail at inline_container.cc")
# What torch says when memory is short; Python, numpy and pyarrow raise a MemoryError.
SHORT = ("out of memory", "can't allocate memory")
# What pyarrow and safetensors, which a student needs not, raise for a file that is not whole.
DAMAGED = ("ArrowInvalid", "SafetensorError")


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


def said(error: Exception) -> str:
    """Return the first line of what a library says is wrong, with the error's type where that is half of it."""
    line = next(filter(str.strip, str(error).splitlines()), "")
    return line if line and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {line}"


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; turn a `PotstillError` into one line on stderr and exit status 1.

    A full disk, too little memory, a damaged file and a refused permission are the user's to mend too, so they get the
    same treatment, and so does an `OSError` that names a file. Anything else is a defect of potstill and keeps its
    traceback.
    """
    try:
        main()
    except PotstillError as error:
        sys.exit(f"error: {visible(' '.join(str(error).split()))}")
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        sys.exit(f"error: {visible(' '.join(reason.split()))}")
    except KeyboardInterrupt:
        sys.exit(130)


def _reason(error: Exception) -> str | None:
    """What is wrong, and what to do, if it is not a defect of potstill."""
    cause: BaseException | None = error
    while cause:
        if getattr(cause, "errno", None) in FULL or any(words in str(cause) for words in FULL_TOO):
            return "the disk is full, or a quota is reached: make room, and run this again"
        short = isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM
        if short or any(words in str(cause) for words in SHORT):
            return (
                "memory is short: less is needed with a smaller `batch_size` or `max_length`, fewer processes at a "
                "time and, for a teacher, more `gradient_accumulation_steps`"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if type(error).__name__ in DAMAGED:
        return f"a file is damaged ({error}): `make verify` finds it if a stage wrote it, then `dvc repro`"
    return None
