"""Guard: what surrounds every request: a limit on its size and time, headers, one line in the log, a count.

Neither log nor metrics get a body, a query, a path that the service does not have, or the message of an exception: any
of these may be a text.
"""

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

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


class GoneError(Exception):
    """The client has closed the connection."""


class Guard:
    """ASGI middleware around the whole service.

    Parameters
    ----------
    app : ASGI application
        What answers.
    monitor : Monitor
        What counts.
    max_body : int
        Bytes of a request's body; a larger one gets 413.
    timeout : float
        Seconds for a body to arrive (else 408), and then for the answer (else 503).
    """

    def __init__(self, app: "ASGIApp", *, monitor: Monitor, max_body: int, timeout: float) -> None:
        self.app, self.monitor, self.max_body, self.timeout = app, monitor, max_body, timeout

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0
        asked = scope
        if scope["method"] == "HEAD":  # what GET answers, of which uvicorn sends the head alone
            scope = {**scope, "method": "GET"}

        async def answer(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await self._answer(scope, receive, answer)
        except GoneError:
            pass
        except TimeoutError:
            if not status:
                sentence = f"no answer within {self.timeout:g} seconds; send fewer texts, or try again"
                await problem(answer, 503, sentence, retry=True)
        except Exception as error:  # noqa: BLE001  # its message may hold a text
            self.monitor.errors.inc()
            log.error("%s failed: %s", self.monitor.path(scope["path"]), _place(error))
            if not status:
                await problem(answer, 500, "the service failed; its log says where")
        path, seconds = self.monitor.path(scope["path"]), time.perf_counter() - began
        if status:  # else the client has gone
            self.monitor.request(asked["method"], path, status, seconds)
            log.info("%s %s %d %.1f ms", _method(asked), path, status, 1_000 * seconds)

    async def _answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            async with asyncio.timeout(self.timeout):
                body = await self._body(scope, receive)
        except TimeoutError:
            return await problem(send, 408, f"the body did not arrive within {self.timeout:g} seconds")
        if body is None:
            return await problem(send, 413, f"the body is larger than {self.max_body:,} bytes; send fewer texts")
        given = False

        async def replay() -> "Message":
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async with asyncio.timeout(self.timeout):
            await self.app(scope, replay, send)

    async def _body(self, scope: "Scope", receive: "Receive") -> bytes | None:
        """The body, or None where it is too large: by what its header says, or by what comes."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > self.max_body:
            return None
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


def connections(seconds: float) -> Any:
    """uvicorn's protocol, but waiting no longer than `seconds` for the head of a request, or a client to read on."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        head: asyncio.TimerHandle | None = None
        reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait()

        def _wait(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            if answering and self.head:
                self.head.cancel()
                self.head = None
            elif not answering and not self.head:
                self.head = self.loop.call_later(seconds, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch(self.transport.get_write_buffer_size() + 1)

        def _watch(self, before: int) -> None:
            left = self.transport.get_write_buffer_size()
            if left >= before:
                self.transport.abort()
            else:
                self.reading = self.loop.call_later(seconds, self._watch, left)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.reading:
                self.reading.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self.head, self.reading):
                if timer:
                    timer.cancel()
            super().connection_lost(exc)

    return Connection


async def unless_gone(request: "Request", work: "Coroutine[Any, Any, T]") -> "T":
    """Wait for work that takes long, or stop it when the client has gone: a page asks anew with every key.

    Raises
    ------
    GoneError
        The client has gone.
    """
    done, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())  # nothing comes but the end
    try:
        await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise GoneError
        return done.result()
    finally:
        done.cancel()
        gone.cancel()


async def problem(send: "Send", status: int, sentence: str, *, retry: bool = False) -> None:
    """Answer with one sentence, and close the connection: part of a body may still be on its way."""
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] + [(b"retry-after", b"1")] * retry
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _method(scope: "Scope") -> str:
    method: str = scope["method"]
    return method if method.isascii() and method.isalpha() and len(method) <= 10 else "other"


def _place(error: BaseException) -> str:
    """What an exception is and where it was raised, without its message."""
    trace: Any = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"
