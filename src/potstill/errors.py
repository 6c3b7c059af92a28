"""The one exception that is meant for people, and what a stage script does with it."""

import sys
from collections.abc import Callable


class PotstillError(Exception):
    """A mistake that the user can mend.

    Its text is one line that says what is wrong, names the file or the key, and says what to do.
    """


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; turn a `PotstillError` into one line on stderr and exit status 1.

    A full disk and a refused permission are the user's to mend too, so an `OSError` that names a
    file gets the same treatment. Anything else is a defect of potstill and keeps its traceback.
    """
    try:
        main()
    except PotstillError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"error: {error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)
