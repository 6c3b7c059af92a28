"""A pool of processes with one thread each, for independent trainings.

Not joblib's loky: its workers outlive a killed parent too, so that it would need the same code.
"""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from threading import Thread
from types import ModuleType
from typing import Any

from potstill.core import device
from potstill.core.errors import PotstillError, error_line


@contextmanager
def workers(jobs: int, main: bool = False) -> Iterator[ProcessPoolExecutor]:
    """Give an executor of `jobs` processes; when the block ends, pending calls are cancelled.

    Args:
        jobs: the number of processes.
        main: whether they import the main module, as they must if it defines what is submitted. Otherwise they do not,
            so that a user's script needs no `if __name__ == "__main__":`.

    Raises:
        PotstillError: a process was killed.
    """
    resource_tracker.ensure_running()  # otherwise the first submission starts it, which unblocks signals
    pool = _Pool(jobs, get_context("spawn"), _start)
    pool.main = sys.modules["__main__"] if main else ModuleType("__main__")
    try:
        # The executor monitors a new process only from the next submission or result on: one that dies before that
        # would be waited for without end.
        for _ in range(jobs + 1):
            pool.submit(os.getpid)
        yield pool
    except BrokenProcessPool:
        raise PotstillError(
            f"one of {jobs} processes was killed, most likely for lack of memory. Run fewer at a time."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    main: ModuleType

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Block interrupts in processes that this starts, until they can handle them without a traceback."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        own = sys.modules["__main__"]
        sys.modules["__main__"] = self.main  # of which multiprocessing sends the path
        try:
            return super().submit(*args, **kwargs)
        finally:
            sys.modules["__main__"] = own
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    from potstill.core import start  # imported late: it changes the signal handlers of the process

    start.quiet_interrupts()
    try:
        Thread(target=_end_with_parent, daemon=True).start()
        device.use_threads(1)
    except Exception as error:
        if error_line(error) is None:
            raise
        os._exit(1)  # the parent reports it in one line; the executor would print a traceback


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would wait for calls forever."""
    parent = parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)
