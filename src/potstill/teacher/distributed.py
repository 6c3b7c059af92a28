"""Data-parallel training in several processes of this machine, with torch.distributed.

Not torchrun's `elastic_launch`: it logs tracebacks, and turns an error of a worker into a ChildFailedError, so that a
PotstillError would be lost.
"""

import os
import socket
from collections.abc import Callable
from concurrent.futures import as_completed
from multiprocessing import active_children
from typing import Any

from joblib import cpu_count

from potstill.core import device
from potstill.core.workers import workers


def run(processes: int, threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in each of the processes of a torch.distributed group.

    Each process has its own GPU if there are any (NCCL), otherwise a share of the cores (gloo, on 127.0.0.1).

    Args:
        processes: their number; 1 runs in this process.
        threads: per process; 0 for an even share of the cores.
        function, arguments: must be picklable. Only the main process should write, see `is_main_process`.

    Returns:
        The result of the main process.

    Raises:
        PotstillError: a process was killed, or the function raised it in any process.
    """
    if processes == 1:
        device.use_threads(threads)
        return function(*arguments)
    threads = threads or max(1, cpu_count() // processes)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with workers(processes) as pool:
        ranks = [pool.submit(_run, rank, processes, port, threads, function, arguments) for rank in range(processes)]
        try:
            for done in as_completed(ranks):
                done.result()
        except BaseException:
            for child in active_children():  # they would wait for the one that failed
                child.kill()
            raise
    return ranks[0].result()


def is_main_process() -> bool:
    """Return whether this process has rank 0, which writes the files."""
    return os.environ.get("RANK", "0") == "0"


def _run(rank: int, processes: int, port: int, threads: int, function: Callable[..., Any], arguments: Any) -> Any:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
    device.use_threads(threads)
    return function(*arguments)
