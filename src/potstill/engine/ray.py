"""Shards on a Ray cluster, or on one of this machine's own, by Ray Data: https://docs.ray.io/en/latest/data."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import potstill
from potstill.errors import PotstillError, missing_package


def each(
    start: Callable[[], Callable[[Any], Any]], jobs: list[dict[str, Any]], actors: int, address: str | None, gpu: bool
) -> Iterator[dict[str, Any]]:
    """Do all jobs, and give what each gives when it is done, in any order. An actor that dies is replaced.

    Args:
        start: called once by every actor; gives what does a job. It is pickled.
        jobs: dictionaries of numbers and strings, as what they give.
        actors: how many, a core or a GPU each; 0 for as many as the cluster has of these.
        address: of the cluster, such as `ray://head:10001` or `auto`; None starts one, of this machine alone.
        gpu: whether the work can be done on GPUs; it is, if the cluster has one.

    Raises:
        PotstillError: Ray is not installed, or there is no cluster at the address; or what a job raised.
    """
    if not jobs:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "CRITICAL")
    # Or a thread of Ray Data's that outlives the cluster would start another, and end this process with that.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # so that it listens on 127.0.0.1 alone
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "ray") from None
    try:
        # The cluster runs this potstill, whichever it has.
        ray.init(
            address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"py_modules": [str(Path(potstill.__file__).parent)]},
            include_dashboard=None if address else False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise PotstillError(f"there is no Ray cluster at {address}: {error}") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        there = ray.cluster_resources()
        gpu = gpu and bool(there.get("GPU"))
        actors = min(actors or int(there["GPU" if gpu else "CPU"]), len(jobs))
        worker: Any = _Worker
        done = ray.data.from_items(jobs, override_num_blocks=len(jobs)).map(
            worker,
            fn_constructor_args=[start],
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


class _Worker:
    def __init__(self, start: Callable[[], Callable[[Any], Any]]) -> None:
        self.start = start
        self.do: Callable[[Any], Any] | None = None

    def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        try:
            self.do = self.do or self.start()
            return self.do(job)
        except (PotstillError, OSError) as error:  # Ray would make pages of it
            return {"error": str(error)}
