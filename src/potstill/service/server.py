"""The server: uvicorn, with limits on connections."""

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI

from potstill.core.errors import PotstillError, visible
from potstill.service.connection import ACCEPTED_AT_ONCE, Connection, Limits, allowed_connections
from potstill.service.drift import WORKERS
from potstill.service.metrics import SHARED_FOLDER
from potstill.service.middleware import ACCESS
from potstill.service.workers import supervise

BACKLOG = 2048  # connections that the kernel holds until they are accepted


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        PotstillError: the address cannot be used.
    """
    try:
        if not host:
            raise socket.gaierror("it is empty")
        # A name may have IPv4 and IPv6 addresses; most clients try IPv4.
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, address = min(addresses, key=lambda each: each[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except (socket.gaierror, UnicodeError):
        raise PotstillError(f"--host: must be an address or a name of this machine (found: {host!r})") from None
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason = os.strerror(error.errno or 0)
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise PotstillError(f"{where} cannot be used ({reason}). Choose another {other}.") from None
    # Connections inherit it. Otherwise the kernel holds the end of a response back until the client has acknowledged
    # its beginning, 40 ms later; asyncio does not set it on a socket without a protocol number.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; then let the kernel queue more connections than asyncio accepts at once, which uvicorn makes equal."""
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(BACKLOG)


class _VisibleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Escape what clients sent, line by line."""
        return "\n".join(map(visible, super().format(record).split("\n")))


def run(
    make_app: Callable[[], FastAPI],
    listening: socket.socket,
    *,
    timeout: float,
    max_connections: int,
    workers: int = 1,
    access_log: bool = False,
) -> None:
    """Serve until the process receives SIGTERM or SIGINT; requests in flight are answered first.

    Args:
        make_app: return the app. With several workers, each calls it, and it has to be pickled.
        listening: a socket from `listen`.
        timeout: seconds that a client may take to send a request, and to read a response.
        max_connections: open connections of a worker at a time.
        workers: processes that serve.
        access_log: whether to write a line per request to standard output.
    """
    serve = partial(_serve, make_app, listening, timeout, allowed_connections(max_connections), access_log)
    app = make_app()  # whose errors end the command before it says where it listens
    where, port = listening.getsockname()[:2]
    with suppress(OSError):  # standard output may be closed
        print(f"http://{f'[{where}]' if ':' in where else where}:{port}/ (stop it with Ctrl-C)", flush=True)
    if workers == 1:
        serve(app)
        return
    del app
    with TemporaryDirectory(prefix="potstill-") as folder:
        os.environ |= {SHARED_FOLDER: folder, WORKERS: str(workers)}
        stopped_by = supervise(serve, workers)
    signal.raise_signal(stopped_by)


def _serve(
    make_app: Callable[[], FastAPI],
    listening: socket.socket,
    timeout: float,
    max_connections: int,
    access_log: bool,
    app: FastAPI | None = None,
) -> None:
    app = app or make_app()
    log = logging.StreamHandler()
    log.setFormatter(_VisibleFormatter())
    logging.basicConfig(handlers=[log])
    if access_log:
        ACCESS.setLevel(logging.INFO)
        ACCESS.propagate = False
        ACCESS.handlers = [logging.StreamHandler(sys.stdout)]
    limits = Limits(timeout, max_connections, app.state.metrics.count_refused)
    config = uvicorn.Config(
        app,
        http=partial(Connection, limits=limits),  # type: ignore[arg-type]
        loop="asyncio",
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,  # ours has the time that a request took, and no query
        proxy_headers=False,
        server_header=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=30,  # seconds for requests in flight
    )
    _Server(config).run(sockets=[listening])
