"""Start and end a command. This has to be its first import, to handle the errors and interrupts of the others.

Importing this module changes the process:

- Until `run`, Ctrl-C ends it silently, since libraries that are interrupted during import raise errors of any type.
- An error for which `errors.error_line` has a line is printed as that line, without a traceback.
- A character that the terminal's encoding does not have is escaped.
- A closed standard stream is opened on /dev/null, so that no other file gets its descriptor.
"""

# Not `signal`, whose import takes longer, and may be interrupted.
import _signal  # type: ignore[import-not-found]


def quiet_interrupts() -> None:
    """Let Ctrl-C end the process silently, even if it is pending; unless it is ignored."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        try:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        except ValueError:
            return  # imported in a thread, which cannot set handlers
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

from potstill.core.errors import error_line

_printed: set[str] = set()  # lines that were printed for threads


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; print an error that the user can fix as one line on stderr, and exit with status 1.

    Any other error is a defect of potstill and keeps its traceback.
    """
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            main()
        finally:
            with suppress(BrokenPipeError):  # the reader has closed the pipe
                sys.stdout.flush()  # here, where errors are handled, and not at exit
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (message := error_line(error)) is None:
            raise
        sys.exit(1 if message in _printed else message)
    finally:
        signal.signal(signal.SIGINT, before)
        _drain()


def _drain() -> None:
    """Drop output that cannot be written, as Python would print an error at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    # In the opposite mode, so that reading standard input or writing results is still an error; notes are dropped.
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


def _print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    message = error_line(error)
    if message is None:
        sys.__excepthook__(kind, error, trace)
    elif message not in _printed:
        _printed.add(message)
        print(message, file=sys.stderr)


def _print_thread_error(args: threading.ExceptHookArgs) -> None:
    """Print the error that ended a thread; `run` does not repeat it if it also ends the command."""
    if args.exc_value is None or error_line(args.exc_value) is None:
        threading.__excepthook__(args)
    else:
        _print_error(args.exc_type, args.exc_value, args.exc_traceback)


_open_closed_streams()
if not sys.warnoptions:
    warnings.simplefilter("ignore", FutureWarning)  # about how libraries call each other
sys.excepthook = _print_error
threading.excepthook = _print_thread_error
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
