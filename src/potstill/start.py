"""How a command starts and ends. Its first import: what goes wrong in the others, or ends them, takes one line or none.

Importing this module changes the process: until `run`, Ctrl-C ends it in silence, since libraries that are
interrupted while they are loaded raise what they like; an error that `errors.error_line` knows is one line; no character
that the terminal lacks stops a print; and a closed standard stream is filled, so that no file which is opened takes its
number, and gets what is meant for a terminal.
"""

# `signal` is made of it, and takes its time to import, in which it may be interrupted.
import _signal  # type: ignore[import-not-found]


def quiet_interrupts() -> None:
    """Have Ctrl-C end the process in silence, also one that came while it was blocked; unless it is ignored."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        try:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        except ValueError:
            return  # imported in a thread, which must not do this
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGINT])


quiet_interrupts()

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from potstill.errors import error_line

_told: set[str] = set()  # lines that were printed of threads


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; turn an error that is the user's to mend into one line on stderr and exit status 1.

    Anything else is a defect of potstill and keeps its traceback.
    """
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            main()
        finally:
            with suppress(BrokenPipeError):  # whoever read has seen enough
                sys.stdout.flush()  # or what cannot be written would be said by Python, at the end
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (said := error_line(error)) is None:
            raise
        sys.exit(1 if said in _told else said)
    finally:
        signal.signal(signal.SIGINT, before)
        _drain()


def _drain() -> None:
    """Drop what the standard streams do not take, which Python would complain of at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fill() -> None:
    # The wrong way round: reading from it, or writing to it, is an error still. What is only noted is not.
    while (descriptor := os.open(os.devnull, os.O_WRONLY)) < 3:
        if descriptor:
            os.close(descriptor)
            os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    said = error_line(error)
    if said is None:
        sys.__excepthook__(kind, error, trace)
    elif said not in _told:
        _told.add(said)
        print(said, file=sys.stderr)


def _tell_of_thread(found: threading.ExceptHookArgs) -> None:
    """Say what ended a thread in one line too if it is the user's to mend, and not again if it ends the command."""
    if found.exc_value is None or error_line(found.exc_value) is None:
        threading.__excepthook__(found)
    else:
        _tell(found.exc_type, found.exc_value, found.exc_traceback)


_fill()
if not sys.warnoptions:
    warnings.simplefilter("ignore", FutureWarning)  # of what one library asks of another
sys.excepthook = _tell
threading.excepthook = _tell_of_thread
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
