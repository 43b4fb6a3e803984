"""Load on an API server: keep-alive REST connections and watch streams, as cheap as a client in Python can be.

A request goes out as ready-made bytes on an asyncio protocol, and of the answer only its status and its end are looked
at, so that the server is what is measured.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

_HEAD_END = b"\r\n\r\n"
CONNECTING_MAX = 50


@dataclass(slots=True)
class Load:
    """What some requests took: latencies in seconds, in no order, and how long all of them took."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failed: int = 0

    @property
    def per_s(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def request(method: str, path: str, body: bytes = b"", *, media: str = "application/json") -> bytes:
    """A whole HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {media}\r\nUser-Agent: bench\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = -1
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def call(self, data: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer, which has a Content-Length."""
        assert self._transport is not None
        self._buffer.clear()
        self._wanted = -1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return
            length = self._buffer.lower().find(b"content-length:", 0, end)
            assert length >= 0, bytes(self._buffer[:end])
            line_end = self._buffer.find(b"\r\n", length)
            self._wanted = end + len(_HEAD_END) + int(self._buffer[length + len("content-length:") : line_end])
        if len(self._buffer) >= self._wanted and self._answer is not None and not self._answer.done():
            status = int(self._buffer[9:12])
            self._answer.set_result((status, bytes(self._buffer[self._buffer.find(_HEAD_END) + 4 :])))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


async def connect(port: int, context: ssl.SSLContext) -> Caller:
    """A connection to the API server on loopback."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Caller, "127.0.0.1", port, ssl=context, server_hostname="localhost")
    return protocol


async def drive(callers: list[Caller], requests: Iterator[bytes], *, seconds: float, expected: int) -> Load:
    """Every caller sends one request after the other until the time is over."""
    load = Load()
    began = time.perf_counter()
    end = began + seconds

    async def one(caller: Caller) -> None:
        while (at := time.perf_counter()) < end:
            status, _ = await caller.call(next(requests))
            load.latencies.append(time.perf_counter() - at)
            load.failed += status != expected

    async with asyncio.TaskGroup() as tasks:
        for caller in callers:
            tasks.create_task(one(caller))
    load.seconds = time.perf_counter() - began
    return load


class Watching(asyncio.Protocol):
    """A watch stream, of which only is told when bytes that hold `mark` come."""

    def __init__(self, path: str, seen: Callable[[], None], mark: list[bytes]) -> None:
        self._path, self._seen, self._mark = path, seen, mark
        self._tail = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(request("GET", self._path))

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        text = self._tail + data
        if self._mark[0] in text:
            self._tail = b""
            self._seen()
        else:
            self._tail = text[-64:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(error or ConnectionResetError("the server closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Watchers:
    """Many watch streams of one path; `deliver` says when the last one saw an event."""

    def __init__(self, port: int, context: ssl.SSLContext, path: str) -> None:
        self._port, self._context, self._path = port, context, path
        self._streams: list[Watching] = []
        self._mark = [b"\0 nothing yet"]
        self._left = 0
        self._all: asyncio.Future[None] | None = None

    async def open(self, count: int) -> None:
        gate = asyncio.Semaphore(CONNECTING_MAX)

        async def one() -> None:
            async with gate:
                loop = asyncio.get_running_loop()
                _, stream = await loop.create_connection(
                    lambda: Watching(self._path, self._seen, self._mark), "127.0.0.1", self._port,
                    ssl=self._context, server_hostname="localhost",
                )  # fmt: skip
                await stream.begun
                self._streams.append(stream)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(one())

    def _seen(self) -> None:
        self._left -= 1
        if self._left == 0 and self._all is not None and not self._all.done():
            self._all.set_result(None)

    def expect(self, mark: bytes) -> asyncio.Future[None]:
        """Done when every stream has seen `mark`."""
        self._mark[0], self._left = mark, len(self._streams)
        self._all = asyncio.get_running_loop().create_future()
        return self._all

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._streams.clear()
