"""What happens to every request before the app sees it."""

import logging
import time
from dataclasses import dataclass
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potstill.service.errors import problem
from potstill.service.hosts import AllowedHosts
from potstill.service.metrics import Metrics

LARGE_BODIES = 32  # of the maximal size, held at a time; those of at most SMALL_BODY are not counted
SMALL_BODY = 1 << 16  # bytes
ACCESS = logging.getLogger("potstill.access")


class RequestGuard:
    """Counts and logs requests, checks their Host, and limits the size of their bodies (ASGI middleware)."""

    def __init__(self, app: ASGIApp, max_body: int, hosts: AllowedHosts, metrics: Metrics) -> None:
        self.app, self.max_body, self.hosts, self.metrics = app, max_body, hosts, metrics
        self.held = 0  # bytes of the bodies of all requests that are not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, HEAD as GET, or refuse it; then count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        exchange = _Exchange(self, scope, receive, send)
        try:
            self.check_headers(dict(scope["headers"]))
            passed_on = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await self.app(passed_on, exchange.receive_body, exchange.send_response)
        except HTTPException as error:
            response = JSONResponse(problem(error.detail), error.status_code, dict(error.headers or {}))
            await response(scope, receive, exchange.send_response)
        finally:
            self.held -= exchange.read
            seconds = time.perf_counter() - start
            self.metrics.count_request(scope["path"], exchange.status, seconds)
            if ACCESS.isEnabledFor(logging.INFO):
                ACCESS.info(_access_line(scope, exchange.status, exchange.written, seconds))

    def check_headers(self, headers: dict[bytes, bytes]) -> None:
        """Check the Host and the declared size.

        A request without a Host, which HTTP/1.0 allows, does not come from a browser.

        Raises:
            HTTPException: 400 or 413.
        """
        host = headers.get(b"host", b"localhost").decode("latin-1")
        if not self.hosts.accept(host):
            raise HTTPException(400, f"host: {host[:100]!r} is not allowed. If it is yours, add --allowed-host.")
        if b"content-length" in headers and b"transfer-encoding" in headers:  # a proxy may use the other one
            raise HTTPException(400, "content-length, transfer-encoding: send only one.", {"connection": "close"})
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.max_body:
            raise self.too_large()

    def too_large(self) -> HTTPException:
        """Return the error for a body that is too large."""
        return HTTPException(413, f"the body has more than {self.max_body:,} bytes. Send fewer texts at once.")


@dataclass
class _Exchange:
    """A request and its response.

    Attributes:
        read: bytes of the request's body.
        status: of the response.
        written: bytes of the response's body.
    """

    guard: RequestGuard
    scope: Scope
    receive: Receive
    send: Send
    read: int = 0
    status: int = 500
    written: int = 0

    async def receive_body(self) -> Message:
        """Receive a part of the body, within the limits."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            status = self.scope.get("refused", 408)
            raise HTTPException(status, "the client disconnected before the request was complete.")
        size = len(message.get("body", b""))
        self.read += size
        self.guard.held += size
        if self.read > self.guard.max_body:
            raise self.guard.too_large()
        if self.read > SMALL_BODY and self.guard.held > LARGE_BODIES * self.guard.max_body:
            raise HTTPException(503, "the service is reading too many large requests. Try again later.")
        return message

    async def send_response(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
        elif self.scope["method"] != "HEAD":
            self.written += len(message.get("body", b""))
        await self.send(message)


def _access_line(scope: Scope, status: int, size: int, seconds: float) -> str:
    """Return a line in the Common Log Format, and the time in seconds; without the query, which might hold a text."""
    client = (scope.get("client") or ["-"])[0]
    now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    request = f"{scope['method']} {quote(scope['path'])} HTTP/{scope.get('http_version', '1.1')}"
    return f'{client} - - [{now}] "{request}" {status} {size} {seconds:.4f}'
