"""One training in several processes, which average their gradients: torch.distributed, as the Trainer finds it."""

import os
import socket
from collections.abc import Callable
from concurrent.futures import as_completed
from multiprocessing import active_children
from typing import Any

from joblib import cpu_count

from potstill import device
from potstill.workers import workers


def run(processes: int, threads: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in so many processes that know of one another.

    Each has a GPU of its own where there are any (by NCCL), or else a share of the cores (by gloo, on 127.0.0.1).

    Args:
        processes: how many; 1 is this process.
        threads: of each; 0 for an even share of the cores.
        work: the function; it and the arguments are pickled. It should write only where `first` says so.

    Returns:
        What it gives in the first process.

    Raises:
        PotstillError: the system killed a process; or what the function raised in any.
    """
    if processes == 1:
        device.use_threads(threads)
        return work(*arguments)
    threads = threads or max(1, cpu_count() // processes)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with workers(processes) as pool:
        ranks = [pool.submit(_rank, rank, processes, port, threads, work, arguments) for rank in range(processes)]
        try:
            for done in as_completed(ranks):
                done.result()
        except BaseException:
            for other in active_children():  # which would wait for the one that has failed
                other.kill()
            raise
    return ranks[0].result()


def first() -> bool:
    """Whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def _rank(rank: int, processes: int, port: int, threads: int, work: Callable[..., Any], arguments: Any) -> Any:
    told = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "LOCAL_WORLD_SIZE": processes,
    }
    os.environ.update({name: str(value) for name, value in told.items()})
    device.use_threads(threads)
    return work(*arguments)
