"""Several processes, a thread each, for trainings that do not need one another."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread

from potstill import device
from potstill.errors import PotstillError


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Give an executor of so many processes; what waits is given up when the block ends.

    Raises:
        PotstillError: the system killed one.
    """
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start)
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


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it without a word
    Thread(target=_end_with_parent, daemon=True).start()
    device.use_threads(1)


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its processes to end, and they would wait for it for ever."""
    parent = parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)
