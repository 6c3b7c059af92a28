"""The one exception that is meant for people, and what a stage script does with it."""

import errno
import sys
from collections.abc import Callable

# A full disk, as Python says it; as libraries in Rust do; as torch does, which does not say why it cannot write.
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TOO = ("No space left on device", "Disk quota exceeded", "enforce fail at inline_container.cc")

# What pyarrow and safetensors, which a student needs not, raise for a file that is not whole.
DAMAGED = ("ArrowInvalid", "SafetensorError")


class PotstillError(Exception):
    """A mistake that the user can mend.

    Its text is one line that says what is wrong, names the file or the key, and says what to do.
    """


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; turn a `PotstillError` into one line on stderr and exit status 1.

    A full disk, a damaged file and a refused permission are the user's to mend too, so they get the same treatment, and
    so does an `OSError` that names a file. Anything else is a defect of potstill and keeps its traceback.
    """
    try:
        main()
    except PotstillError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except Exception as error:
        if _full(error):
            sys.exit("error: the disk is full, or a quota is reached: make room, and run this again")
        if isinstance(error, OSError) and error.filename is not None:
            sys.exit(f"error: {error.filename}: {error.strerror}")
        if type(error).__name__ in DAMAGED:
            said = " ".join(str(error).split())
            sys.exit(f"error: a file is damaged ({said}): `make verify` finds it if a stage wrote it, then `dvc repro`")
        raise
    except KeyboardInterrupt:
        sys.exit(130)


def _full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error."""
    while error:
        if getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_TOO):
            return True
        error = error.__cause__ or error.__context__
    return False
