"""Limits of a server's connections, in time and in number.

uvicorn limits neither the time to send a request nor the time to read a response, and accepts connections until the
process can open no more files.
"""

import asyncio
import http
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from potstill.core.errors import PotstillError
from potstill.service.errors import problem

ACCEPTED_AT_ONCE = 16  # connections that asyncio accepts before it handles the first of them
# Open files that are not counted connections: the process's own, and those just accepted or about to be closed, which
# are up to five times ACCEPTED_AT_ONCE.
RESERVED_FILES = 100
MIN_CONNECTIONS = 50  # to allow, unless fewer are requested
MAX_CHUNKS = 10_000  # of a body, each of which costs time, however few bytes it has
MAX_UNREAD = 1 << 27  # bytes of responses that clients have not read yet


def allowed_connections(requested: int) -> int:
    """Return how many connections to allow: those requested, or as many as the limit of open files permits.

    The limit is raised if needed and permitted.

    Raises:
        PotstillError: it permits too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = requested + RESERVED_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return requested
    soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < (least := RESERVED_FILES + min(requested, MIN_CONNECTIONS)):
        raise PotstillError(
            f"the limit of open files is too low (found: {soft}). Raise it to at least {least} with `ulimit -n`."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft - RESERVED_FILES


@dataclass
class Limits:
    """What the connections of a server share.

    Attributes:
        timeout: seconds that a client may take to send a request, and to read a response.
        max_connections: open connections at a time.
        count_refused: called with the status of a request that was refused before the app saw it.
        waiting: the connections that wait for their clients, longest first.
    """

    timeout: float
    max_connections: int
    count_refused: Callable[[int], None]
    waiting: "dict[Connection, None]" = field(default_factory=dict)


class _Parser(h11.Connection):
    """Refuses a body in too many chunks: those of one byte would keep the event loop from all other connections.

    The head of a response is sent with the beginning of its body, as one packet, which wakes the client once.
    """

    chunks = 0
    head = b""

    def send(self, event: Any) -> bytes | None:  # type: ignore[override]
        sent = super().send(event)
        if isinstance(event, h11.Response):
            self.head = sent or b""
            return b""
        if self.head:
            sent, self.head = self.head + (sent or b""), b""
        return sent

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self.chunks += 1
            if self.chunks > MAX_CHUNKS:
                raise h11.RemoteProtocolError("too many chunks")
        elif isinstance(event, h11.Request):
            self.chunks = 0
        return event


class Connection(H11Protocol):
    """A connection that does not wait for its client longer than `limits.timeout`.

    If there are too many, the one that has waited longest is closed for a new one, so that clients that hold
    connections open, idle or with half a request, do not block other clients.
    """

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Parser(h11.SERVER)
        self.limits = limits
        self.deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and close another if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            busy = "too many connections. Try again later."
            if longest := next(iter(self.limits.waiting), None):
                longest.give_up(503, busy)
            else:
                self.refuse(503, busy)
        self.watch()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        self.watch()

    def on_response_complete(self) -> None:
        """Start the time of the next request."""
        super().on_response_complete()
        self.unwatch()
        self.watch()

    def pause_writing(self) -> None:
        """Wait for the client to read; if too much is unread in all, close the connections that have waited longest."""
        super().pause_writing()
        self.watch()
        unread = {each: each.transport.get_write_buffer_size() for each in self.limits.waiting}
        total = sum(unread.values())
        for each, size in unread.items():
            if total > MAX_UNREAD and size:
                each.close()
                total -= size

    def resume_writing(self) -> None:
        """Stop waiting for the client to read."""
        super().resume_writing()
        self.watch()

    def shutdown(self) -> None:
        """Close the connection, at once if its request is not complete; one in flight is answered first."""
        if self in self.limits.waiting and not self.transport.get_write_buffer_size():
            self.give_up(503, "the service was stopped before the request was complete. Send it again later.")
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.unwatch()

    def watch(self) -> None:
        """Run the timer exactly while the client has to send the rest of a request or to read a response."""
        answering = self.cycle and not self.cycle.more_body and not self.cycle.response_complete
        if answering and not self.flow.write_paused:
            self.unwatch()
        elif self.deadline is None:
            reason = f"the request was not complete within {self.limits.timeout:g} seconds. Send all of it at once."
            self.deadline = self.loop.call_later(self.limits.timeout, self.give_up, 408, reason)
            self.limits.waiting[self] = None

    def unwatch(self) -> None:
        """Stop the timer."""
        self.limits.waiting.pop(self, None)
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None

    def give_up(self, status: int, text: str) -> None:
        """Close the connection; if part of a request has been read, say why."""
        unanswered = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if unanswered and (self.conn.their_state is not h11.IDLE or self.conn.trailing_data[0]):
            self.refuse(status, text)
        else:
            self.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; uvicorn calls it when it catches an error of h11."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.ProtocolError) else 400
        reason = str(error or msg).partition(": bytearray(")[0]  # without quoting what was sent
        self.give_up(status, f"the request is not valid HTTP/1.1 ({reason}).")

    def refuse(self, status: int, text: str) -> None:
        """Send a response in place of the app, and close the connection."""
        content = json.dumps(problem(text)).encode()
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        if self.cycle and not self.cycle.response_complete:
            self.scope["refused"] = status  # type: ignore[typeddict-unknown-key]  # the app counts it
        else:
            self.limits.count_refused(status)
        self.close()

    def close(self) -> None:
        """Close the connection now, even if the client does not read."""
        self.unwatch()
        if self.cycle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
