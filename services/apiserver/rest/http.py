"""HTTP/1.1 on a decrypted connection: requests in their order, answers whole or in chunks.

httptools parses. One request of a connection is answered at a time; what a client sends ahead waits, up to
AHEAD_BYTES_MAX. Bounds: HEAD_BYTES_MAX of head, BODY_BYTES_MAX of body, ARRIVAL_S for a request to arrive whole,
IDLE_S between requests. A stream is written only as fast as its reader takes it, and the next request is answered when
the answers before it were taken, within TAKEN_S. A client that goes away cancels what is being answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import httptools
from raftsman import errors, logs
from raftsman.services.apiserver.access.identity import User

HEAD_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 3 << 20
# Room for one whole request behind the one that is being answered.
AHEAD_BYTES_MAX = BODY_BYTES_MAX + (256 << 10)
WRITE_BUFFER_BYTES = 256 << 10
ARRIVAL_S = 30.0
IDLE_S = 180.0
TAKEN_S = 180.0

_REASONS = {
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 304: "Not Modified",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 413: "Request Entity Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Entity", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip

log = logs.get(__name__)


@dataclass(slots=True)
class Request:
    """One request. `lines` are its headers as they came, names in lower case; `headers` has both values of one that was
    sent twice, comma-separated."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    lines: list[tuple[str, str]]
    user: User | None
    body: bytes = b""
    keep_alive: bool = True
    upgrade: bool = False

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    media: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)


Handler = Callable[[Request, "Exchange"], Awaitable[None]]


class Exchange:
    """The answer to one request, on its way: `send` once, or `begin`, `write` as often as needed, `end`."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection, self._request = connection, request
        self.begun = False
        # Sent with every answer.
        self.headers: tuple[tuple[str, str], ...] = ()

    def send(self, answer: Answer) -> None:
        length = "" if answer.status == 304 else f"Content-Length: {len(answer.body)}"
        head = self._head(answer.status, answer.media, answer.headers, length)
        self.begun = True
        self._connection.write(head if self._request.method == "HEAD" else head + answer.body)

    def begin(self, media: str, headers: list[tuple[str, str]] | None = None, *, status: int = 200) -> None:
        """Start an answer in chunks."""
        self.begun = True
        self._connection.write(self._head(status, media, headers or [], "Transfer-Encoding: chunked"))

    async def write(self, data: bytes) -> None:
        """Send a chunk; returns when the client's side has room for more."""
        if not self.put(data):
            await self.drained()

    def put(self, data: bytes) -> bool:
        """Send a chunk; false if the client's side has no room for more."""
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))
        return not self._connection.full

    async def drained(self) -> None:
        """Return when the client's side has room for more."""
        await self._connection.drained()

    def end(self) -> None:
        self._connection.write(b"0\r\n\r\n")

    def upgrade(self, headers: list[tuple[str, str]], received: Callable[[bytes], None]) -> None:
        """Answer 101; from here on the connection's bytes go to `received`, b"" at their end.

        It is not called before this returns to the loop.
        """
        self.begun = True
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {_one_line(value)}" for name, value in headers)]
        self._connection.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self._connection.divert(received)

    async def write_raw(self, data: bytes) -> None:
        """After an upgrade; returns when the client's side has room for more."""
        self._connection.write(data)
        await self._connection.drained()

    def write_soon(self, data: bytes) -> None:
        """After an upgrade: few bytes, without waiting for room."""
        self._connection.write(data)

    @property
    def has_room(self) -> bool:
        """Whether the client's side takes what was written."""
        return not self._connection.full

    def pause_reading(self) -> None:
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._connection.resume_reading()

    def _head(self, status: int, media: str, headers: list[tuple[str, str]], framing: str) -> bytes:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", f"Content-Type: {media}"]
        lines += [framing] if framing else []
        lines += [f"{name}: {_one_line(value)}" for name, value in (*headers, *self.headers)]
        if not self._request.keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Connection(asyncio.Protocol):
    """One connection of a client, whose certificate's user is known. `left` is called when it is gone."""

    def __init__(self, user: User | None, handler: Handler, *, left: Callable[[], None]) -> None:
        self._user, self._handler, self._left = user, handler, left
        self._transport = cast(asyncio.Transport, None)
        self._parser = httptools.HttpRequestParser(self)
        self._arrived: deque[Request] = deque()
        self._ahead = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._lines: list[tuple[str, str]] = []
        self._body = bytearray()
        self._head_bytes = 0
        self._running: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._mid_request = False
        self._refused = 0
        self._received: Callable[[bytes], None] | None = None
        self._ahead_of_upgrade = b""

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._expect(IDLE_S)

    def data_received(self, data: bytes) -> None:
        if self._received is not None:
            self._deliver_ahead()
            return self._received(data)
        if self._refused:
            return None
        if self._running is not None:
            self._ahead += len(data)
            if self._ahead > AHEAD_BYTES_MAX:
                return self._transport.abort()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ahead_of_upgrade = data[upgrade.args[0] :]
        except _Refused as refused:
            self._refuse(refused.status)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refused) else 400)
        return None

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        if self._received is not None:
            # Who asks over an upgraded connection has to take the answers (pongs) first.
            self.pause_reading()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
        if self._received is not None:
            self.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.resume_writing()
        self._expect(None)
        if self._received is not None:
            self._received(b"")
        if self._running is not None:
            self._running.cancel()
        self._left()

    # -- writing

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def divert(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        if self._ahead_of_upgrade:
            asyncio.get_running_loop().call_soon(self._deliver_ahead)

    def _deliver_ahead(self) -> None:
        """What came in one piece with the request that upgraded."""
        ahead, self._ahead_of_upgrade = self._ahead_of_upgrade, b""
        if ahead and self._received is not None:
            self._received(ahead)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def full(self) -> bool:
        """Whether the client is behind in taking what was written."""
        return self._room is not None

    async def drained(self) -> None:
        if self._room is not None:
            await self._room

    def close(self) -> None:
        """End the connection; what is being answered is cut."""
        self._transport.close()

    # -- httptools

    def on_message_begin(self) -> None:
        self._url, self._headers, self._lines, self._body, self._head_bytes = b"", {}, [], bytearray(), 0
        self._mid_request = True
        self._expect(ARRIVAL_S)

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._lines.append((key, text))
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known},{text}"

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            raise _Refused(431)

    def on_headers_complete(self) -> None:
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            raise _Refused(413)
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_BYTES_MAX:
            raise _Refused(413)

    def on_message_complete(self) -> None:
        self._mid_request = False
        self._expect(None)
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            raise _Refused(400) from None
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl((url.query or b"").decode("latin-1"), keep_blank_values=True):
            query.setdefault(name, []).append(value)
        self._arrived.append(
            Request(
                self._parser.get_method().decode(), unquote((url.path or b"/").decode("latin-1")), query,
                self._headers, self._lines, self._user, bytes(self._body),
                keep_alive=self._parser.should_keep_alive(), upgrade=self._parser.should_upgrade(),
            )
        )  # fmt: skip
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._answer_all())

    # -- answering

    async def _answer_all(self) -> None:
        try:
            while self._arrived and not self._transport.is_closing():
                request = self._arrived.popleft()
                exchange = Exchange(self, request)
                await self._handler(request, exchange)
                await self._taken()
                if not request.keep_alive or request.upgrade:
                    self._transport.close()
        except asyncio.CancelledError:
            raise
        except errors.ApiError as error:
            # Its head is out: that the rest does not come is all that its reader can be told.
            log.info("an answer was cut short", error=error)
            self._transport.abort()
        except Exception as error:
            log.error("a connection failed unexpectedly", error=type(error).__name__, exc_info=error)
            self._transport.abort()
        finally:
            self._running = None
            self._ahead = 0
            if self._refused and not self._transport.is_closing():
                self._refuse(self._refused)
            elif not self._transport.is_closing():
                self._expect(ARRIVAL_S if self._mid_request else IDLE_S)

    async def _taken(self) -> None:
        """Returns when the client has taken most of what was written; one that does not is cut off."""
        try:
            async with asyncio.timeout(TAKEN_S):
                await self.drained()
        except TimeoutError:
            self._transport.abort()

    def _refuse(self, status: int) -> None:
        """What does not parse, or is too much: nothing that follows on this connection can be told apart.

        While an earlier request is being answered this waits: it would be read as a part of that answer.
        """
        self._refused = status
        if self._running is not None:
            return None
        reason = _REASONS[status]
        body = (
            f'{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{reason}",'
            f'"reason":"{"RequestEntityTooLarge" if status == 413 else "BadRequest"}","code":{status}}}'
        ).encode()
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        return self._transport.close()

    def _expect(self, seconds: float | None) -> None:
        """Close unless something comes within so many seconds; None waits for nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = seconds and asyncio.get_running_loop().call_later(seconds, self._late)  # type: ignore[assignment]

    def _late(self) -> None:
        if self._running is None:
            self._refuse(408) if self._mid_request else self._transport.close()


class _Refused(Exception):
    """A request that is not looked at."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _one_line(value: Any) -> str:
    return str(value).replace("\r", " ").replace("\n", " ")
