"""Several processes, a thread each, for trainings that do not need one another."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from potstill import device
from potstill.errors import PotstillError, error_line


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Give an executor of so many processes; what waits is given up when the block ends.

    Raises:
        PotstillError: the system killed one.
    """
    resource_tracker.ensure_running()  # which would unblock signals when the first process is started
    pool = _Pool(jobs, get_context("spawn"), _start)
    try:
        # A process that a submission starts is watched from the next one on, or the next result: if it died before, it
        # would be waited for.
        for _ in range(jobs + 1):
            pool.submit(os.getpid)
        yield pool
    except BrokenProcessPool:
        raise PotstillError(
            f"one of {jobs} processes was killed, most likely for lack of memory: run fewer at a time"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """A process that this starts inherits that interrupts are blocked, until it can end in silence."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    from potstill import start  # which would change the process of whoever imports this module

    start.quiet_interrupts()
    try:
        Thread(target=_end_with_parent, daemon=True).start()
        device.use_threads(1)
    except Exception as error:
        if error_line(error) is None:
            raise
        os._exit(1)  # the parent says so in a line, and the executor would print a traceback


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its processes to end, and they would wait for it for ever."""
    parent = parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)
