"""Shards in processes of this machine."""

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from typing import Any

from potstill.workers import workers

_started: Callable[[Any], Any] | None = None


def each(start: Callable[[], Callable[[Any], Any]], jobs: list[Any], processes: int) -> Iterator[Any]:
    """Do all jobs, and give what each gives when it is done, in any order.

    Args:
        start: called once by every process; gives what does a job. It, the jobs and what they give are pickled, unless
            one process suffices, which is this one.
        jobs: the jobs.
        processes: how many, a thread each.

    Raises:
        PotstillError: the system killed a process; or what a job raised.
    """
    processes = min(processes, len(jobs))
    if processes > 1:
        with workers(processes) as pool:
            for done in as_completed([pool.submit(_do, start, job) for job in jobs]):
                yield done.result()
    elif jobs:
        yield from map(start(), jobs)


def _do(start: Callable[[], Callable[[Any], Any]], job: Any) -> Any:
    # Not in the pool's initialiser, whose errors come to nobody.
    global _started
    if _started is None:
        _started = start()
    return _started(job)
