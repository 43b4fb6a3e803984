"""One HTTP/1.1 request over a TLS connection of its own, and its answer: whole within bounds, or piece by piece.

httptools parses. A connection is made within CONNECT_S; a head of HEAD_BYTES_MAX is taken; a body is read only as fast
as it is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import httptools
from raftsman import errors

CONNECT_S = 5.0
HEAD_BYTES_MAX = 64 << 10
PIECE_BYTES = 64 << 10

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A request, whole."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    def serialised(self, host: str) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + self.body


class Answer:
    """An answer whose head has come. After an upgrade (`status` 101) the connection's bytes are the caller's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        # What came behind the head of an upgrade.
        self.ahead = b""
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._head_bytes = 0
        self._headed = self._complete = False

    def header(self, name: str) -> str:
        """The first value of a header; "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def bodiless(self) -> bool:
        return self._method == "HEAD" or self.status in (204, 304) or self.status < 200

    async def head(self) -> None:
        """Wait for the head. errors.Unavailable if what comes is none."""
        while not self._headed:
            await self._more()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._complete or self.bodiless:
                return
            await self._more()

    async def whole(self, limit: int) -> bytes:
        """The body. errors.Unavailable if it is longer than `limit`."""
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > limit:
                raise errors.Unavailable(f"the answer is longer than {limit} bytes")
        return bytes(found)

    async def _more(self) -> None:
        try:
            data = await self.reader.read(PIECE_BYTES)
        except OSError as error:
            raise errors.Unavailable(f"the connection was lost: {error}") from None
        if not data:
            if self._headed and not self.header("content-length") and not self.header("transfer-encoding"):
                self._complete = True
                return
            raise errors.Unavailable("the connection ended in the middle of an answer")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.ahead = data[upgrade.args[0] :]
            self._headed = self._complete = True
        except httptools.HttpParserError as error:
            raise errors.Unavailable(f"the answer is no HTTP: {type(error).__name__}") from None

    # -- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES_MAX:
            raise errors.Unavailable(f"the answer's head is longer than {HEAD_BYTES_MAX} bytes")
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200 and self.status != 101:
            self.headers.clear()
        else:
            self._headed = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = self._headed


@contextlib.asynccontextmanager
async def asked(
    addresses: Iterable[tuple[str, int]], question: Question, *, tls: ssl.SSLContext | None, name: str
) -> AsyncIterator[Answer]:
    """The answer of the first address that can be connected to; `name` is the server's. Without `tls` in plain text.

    Closed at the end. errors.Unavailable if none can be connected to, or what answers is no HTTP.
    """
    reader, writer = await _connected(addresses, tls=tls, name=name)
    try:
        writer.write(question.serialised(name))
        answer = Answer(reader, writer, question.method)
        await answer.head()
        yield answer
    finally:
        writer.close()


async def _connected(
    addresses: Iterable[tuple[str, int]], *, tls: ssl.SSLContext | None, name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    why: object = "it has no address"
    for host, port in addresses:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(
                    host, port, ssl=tls, server_hostname=name if tls else None, limit=PIECE_BYTES
                )
        except TimeoutError:
            why = f"{host}:{port} does not answer within {CONNECT_S:.0f}s"
        except OSError as error:
            why = error
    raise errors.Unavailable(f"{name} cannot be reached: {why}")
