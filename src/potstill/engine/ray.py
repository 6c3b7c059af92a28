"""Shards on a Ray cluster, with Ray Data: https://docs.ray.io/en/latest/data."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import potstill
from potstill.core.errors import PotstillError, missing_package
from potstill.engine.shards import Job, Task, Worker


def each(task: Task, jobs: list[Job], actors: int, address: str | None, gpu: bool) -> Iterator[Job]:
    """Do all jobs, and yield what each returns, in the order of completion. Ray replaces an actor that dies.

    Args:
        task: what to do.
        jobs: the jobs.
        actors: their number, with a core or a GPU each; 0 for as many as the cluster has.
        address: the cluster's, such as `ray://head:10001` or `auto`; None starts a cluster on this machine.
        gpu: whether to use GPUs if the cluster has any.

    Raises:
        PotstillError: Ray is not installed, there is no cluster at the address, or a job raised it.
    """
    if not jobs:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "CRITICAL")
    # Otherwise a thread of Ray Data that outlives the cluster starts another one, which ends this process.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listen on 127.0.0.1 only
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "ray") from None
    try:
        # The cluster runs this version of potstill, whichever is installed there.
        ray.init(
            address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"py_modules": [str(Path(potstill.__file__).parent)]},
            include_dashboard=None if address else False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise PotstillError(f"{address}: no Ray cluster ({error}). Name the address of a running one.") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        resources = ray.cluster_resources()
        gpu = gpu and bool(resources.get("GPU"))
        actors = min(actors or int(resources["GPU" if gpu else "CPU"]), len(jobs))
        actor: Any = _Actor
        done = ray.data.from_items(jobs, override_num_blocks=len(jobs)).map(
            actor,
            fn_constructor_args=[task],
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=None if gpu else 1,
            num_gpus=1 if gpu else None,
        )
        for row in done.iter_rows():
            if "error" in row:
                raise PotstillError(row["error"])
            yield row
    finally:
        ray.shutdown()


class _Actor:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.worker: Worker | None = None

    def __call__(self, job: Job) -> Job:
        try:
            self.worker = self.worker or Worker(self.task)
            return self.worker(job)
        except (PotstillError, OSError) as error:  # Ray would print pages of traceback
            return {"error": str(error)}
