"""The processes of a service: started together, replaced when one ends, and stopped together.

uvicorn has a supervisor as well, whose processes can run neither our app nor our connections: both hold what cannot be
pickled.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.context import SpawnProcess

PAUSE = 1.0  # seconds before a process is replaced, so that those that cannot start do not use up the machine

_context = multiprocessing.get_context("spawn")  # a fork would copy locks that another thread holds


def supervise(serve: Callable[[], None], count: int) -> int:
    """Run `serve` in so many processes until this one receives SIGTERM or SIGINT, and return which.

    A process that ends is replaced. At the end all receive SIGTERM, and are waited for. `serve` has to be pickled.
    """
    received: list[int] = []
    waker, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.append(number))
    signal.set_wakeup_fd(wakeup.fileno())  # a signal ends the wait below
    running = [_start(serve) for _ in range(count)]
    while not received:
        connection.wait([waker, *(process.sentinel for process in running)])
        for i, process in enumerate(running):
            if not received and not process.is_alive():
                ended = f"worker {process.pid} ended (exit status {process.exitcode})"
                print(f"{ended}. Another one is started.", file=sys.stderr, flush=True)
                connection.wait([waker], PAUSE)
                running[i] = _start(serve)
    for process in running:
        process.terminate()
    for process in running:
        process.join()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    return received[0]


def _start(serve: Callable[[], None]) -> SpawnProcess:
    process = _context.Process(target=_work, args=[serve])
    process.start()
    return process


def _work(serve: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the parent sends SIGTERM
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve()


def _end_with_parent() -> None:
    """Stop this process if the one that started it was killed, or it would hold the port."""
    parent = multiprocessing.parent_process()
    assert parent
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
