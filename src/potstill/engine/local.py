"""Shards in processes of this machine."""

from collections.abc import Iterator
from concurrent.futures import as_completed

from potstill.core.workers import workers
from potstill.engine.shards import Job, Task, Worker

_worker: Worker | None = None


def each(task: Task, jobs: list[Job], processes: int) -> Iterator[Job]:
    """Do all jobs, and yield what each returns, in the order of completion.

    Args:
        task: what to do.
        jobs: the jobs.
        processes: their number, one thread each; 1 runs in this process.

    Raises:
        PotstillError: a process was killed, or a job raised it.
    """
    processes = min(processes, len(jobs))
    if processes > 1:
        with workers(processes) as pool:
            for done in as_completed([pool.submit(_do, task, job) for job in jobs]):
                yield done.result()
    elif jobs:
        yield from map(Worker(task), jobs)


def _do(task: Task, job: Job) -> Job:
    # Not in the pool's initializer, whose errors would be lost.
    global _worker
    if _worker is None:
        _worker = Worker(task)
    return _worker(job)
