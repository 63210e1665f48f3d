"""What surrounds every request: limits on size and time, response headers, a log line and a count.

Logs and metrics never contain a body, a query, an unknown path or the message of an exception: each of these may hold
a text.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import JSONResponse

from .metrics import Monitor

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
log = logging.getLogger("serve")
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
RETRY_AFTER = {"retry-after": "1"}  # seconds
MAX_HEAD = 65_536  # bytes
TOO_LARGE_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
CLOSE = {"connection": "close"}  # part of the body may still be on its way


class ClientGoneError(Exception):
    """The client has closed the connection."""


def error_response(status: int, message: str, headers: "dict[str, str] | None" = None) -> JSONResponse:
    """Return an answer of the form `schemas.ErrorResponse`."""
    return JSONResponse({"error": message}, status, headers)


class Guard:
    """ASGI middleware around the whole service.

    Parameters
    ----------
    app : ASGI application
        The service.
    monitor : Monitor
        Counts requests and errors.
    max_body : int
        Most bytes of a request's body; a larger one gets 413.
    timeout : float
        Seconds for the body to arrive (otherwise 408), and then for the answer (otherwise 503).
    """

    def __init__(self, app: "ASGIApp", *, monitor: Monitor, max_body: int, timeout: float) -> None:
        self.app, self.monitor, self.max_body, self.timeout = app, monitor, max_body, timeout

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 0  # status 0: no answer was sent
        path = self.monitor.known_path(scope["path"])

        async def send_with_headers(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        async def send_error(status_code: int, message: str, headers: dict[str, str]) -> None:
            if not status:
                await error_response(status_code, message, headers)(scope, receive, send_with_headers)

        try:
            await self._answer(scope, receive, send_with_headers)
        except ClientGoneError:
            pass
        except TimeoutError:
            message = f"no answer within {self.timeout:g} seconds; send fewer texts or try again"
            await send_error(503, message, CLOSE | RETRY_AFTER)
        except Exception as error:  # noqa: BLE001 - its message may hold a text
            self.monitor.errors.inc()
            log.error("%s failed: %s", path, _location(error))
            await send_error(500, "internal error; the service's log shows where", CLOSE)
        if status:  # otherwise the client has gone
            seconds = time.perf_counter() - started
            self.monitor.count_request(scope["method"], path, status, seconds)
            log.info("%s %s %d %.1f ms", _logged_method(scope["method"]), path, status, 1_000 * seconds)

    async def _answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Read the body, then call the service with it, both within their limits."""
        try:
            async with asyncio.timeout(self.timeout):
                body = await self._read_body(scope, receive)
        except TimeoutError:
            message = f"the body did not arrive within {self.timeout:g} seconds"
            return await error_response(408, message, CLOSE)(scope, receive, send)
        if body is None:
            message = f"the body is larger than {self.max_body:,} bytes; send fewer texts"
            return await error_response(413, message, CLOSE)(scope, receive, send)
        body_sent = False

        async def receive_body() -> "Message":
            nonlocal body_sent
            if body_sent:
                return await receive()
            body_sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        if scope["method"] == "HEAD":  # uvicorn sends only the head of what GET answers
            scope = {**scope, "method": "GET"}
        async with asyncio.timeout(self.timeout):
            await self.app(scope, receive_body, send)

    async def _read_body(self, scope: "Scope", receive: "Receive") -> bytes | None:
        """Return the body; None if it is too large, by its header or by the bytes that arrive."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > self.max_body:
            return None
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


def protocol_with_timeouts(seconds: float) -> Any:
    """Return uvicorn's protocol class, with limits for three kinds of clients.

    A connection is closed if the head of a request does not arrive within `seconds`, if it is larger than `MAX_HEAD`,
    or if the client reads nothing of its answer for `seconds`.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        head_timer: asyncio.TimerHandle | None = None
        read_timer: asyncio.TimerHandle | None = None
        head_size = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._limit_head()

        def data_received(self, data: bytes) -> None:
            self.head_size += len(data)
            super().data_received(data)
            self._limit_head()

        def _limit_head(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            if answering:
                self.head_size = 0
            if self.head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(TOO_LARGE_HEAD)
                self.transport.close()
            elif answering and self.head_timer:
                self.head_timer.cancel()
                self.head_timer = None
            elif not answering and not self.head_timer:
                self.head_timer = self.loop.call_later(seconds, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._limit_read(self.transport.get_write_buffer_size() + 1)

        def _limit_read(self, unread_before: int) -> None:
            unread = self.transport.get_write_buffer_size()
            if unread >= unread_before:
                self.transport.abort()
            else:
                self.read_timer = self.loop.call_later(seconds, self._limit_read, unread)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.read_timer:
                self.read_timer.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self.head_timer, self.read_timer):
                if timer:
                    timer.cancel()
            super().connection_lost(exc)

    return Connection


async def unless_gone(request: "Request", work: "Coroutine[Any, Any, T]") -> "T":
    """Wait for work that takes long, but cancel it if the client disconnects: the page asks again at every key.

    Raises
    ------
    ClientGoneError
        The client has disconnected.
    """
    # The body was read already: the only message to come is the end of the connection.
    working, disconnected = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        working.cancel()
        disconnected.cancel()


def _logged_method(method: str) -> str:
    """Return a method as the log shows it: one that may be a text is "other"."""
    return method if method.isascii() and method.isalpha() and len(method) <= 10 else "other"


def _location(error: BaseException) -> str:
    """Return the type of an exception and where it was raised, without its message."""
    trace: Any = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"
