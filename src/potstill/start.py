"""How a command starts and ends. Its first import: what goes wrong in the others, or ends them, takes one line or none.

Importing this module changes the process: until `run`, Ctrl-C ends it in silence, since libraries that are
interrupted while they are loaded raise what they like; an error that `errors.line` knows is one line; no character
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
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from potstill.errors import line


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
        if (said := line(error)) is None:
            raise
        sys.exit(said)
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
    if said := line(error):
        print(said, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


_fill()
sys.excepthook = _tell
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
