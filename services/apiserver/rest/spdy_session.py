"""A SPDY connection that a client opened: its streams, each read and written on its own.

Streams are the client's; each is answered with SYN_REPLY at once. Kubernetes' clients know no flow control of SPDY's
own (they send no WINDOW_UPDATE), so windows are not kept: a stream whose STREAM_BYTES_MAX wait to be taken stops the
reading of the whole connection, and writing waits for the connection to have room. At most STREAMS_MAX streams are
open; one more is refused. A ping every PING_S finds clients that vanished while nothing was read from them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from raftsman import errors

from . import spdy
from .http import Exchange, Request

UPGRADE = "SPDY/3.1"
STREAMS_MAX = 512
STREAM_BYTES_MAX = 256 << 10
FRAME_BYTES = 32 << 10
PING_S = 20.0
VERSION_HEADER = "x-stream-protocol-version"


class Gone(ConnectionError):
    """The stream, or the whole connection, takes no more."""


class Pipe(Protocol):
    """What carries the frames."""

    async def send(self, data: bytes) -> None: ...
    def send_soon(self, data: bytes) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


def wanted(request: Request) -> bool:
    """Whether a request asks for SPDY."""
    return request.upgrade and request.headers.get("upgrade", "").lower() == UPGRADE.lower()


def protocol_of(request: Request, known: tuple[str, ...]) -> str:
    """The best of the known protocols of streams that the client offers. errors.BadRequest if there is none."""
    offered = [one.strip() for one in request.headers.get(VERSION_HEADER, "").split(",")]
    for one in known:
        if one in offered:
            return one
    raise errors.BadRequest(f"unable to upgrade: none of the protocols {offered} is spoken here: {', '.join(known)}")


def upgraded(exchange: Exchange, protocol: str) -> Session:
    """The session on an HTTP connection, from now on."""
    session = Session(_Wire(exchange), ping=True)
    head = [("Upgrade", UPGRADE), ("Connection", "Upgrade"), ("X-Stream-Protocol-Version", protocol)]
    exchange.upgrade(head, session.received)
    return session


class _Wire:
    """A pipe straight on the connection."""

    def __init__(self, exchange: Exchange) -> None:
        self.send, self.send_soon = exchange.write_raw, exchange.write_soon
        self.pause, self.resume = exchange.pause_reading, exchange.resume_reading


class Stream:
    """One stream of the client's."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number, self.headers = number, headers
        # Set by a reset, or by the end of the connection before that of the stream.
        self.broken = False
        self._session = session
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._ended = self._finished = self._ignored = False

    async def receive(self) -> bytes | None:
        """What came next; None at the end."""
        while not self._pieces:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size < STREAM_BYTES_MAX:
            self._session.has_room(self)
        return piece

    def ignore(self) -> None:
        """What comes is nothing to anybody."""
        self._ignored = True
        self._pieces.clear()
        self._session.has_room(self)

    async def send(self, data: bytes) -> None:
        """Gone if the client takes no more."""
        for at in range(0, len(data), FRAME_BYTES):
            if self._finished or self.broken:
                raise Gone("the stream is closed")
            await self._session.send(spdy.Data(self.number, data[at : at + FRAME_BYTES]))

    async def finish(self) -> None:
        """Nothing more from us."""
        if not self._finished and not self.broken:
            self._finished = True
            await self._session.send(spdy.Data(self.number, b"", fin=True))
            self._session.settle(self)

    def reset(self, status: int = spdy.CANCEL) -> None:
        """Both directions end here. Nothing happens if they have ended already."""
        if not self.over:
            self._session.send_soon(spdy.Reset(self.number, status))
            self.end(broken=True)

    @property
    def over(self) -> bool:
        return self.broken or (self._ended and self._finished)

    def take(self, data: bytes, *, fin: bool) -> bool:
        """What arrived. False when it is more than is good."""
        if data and not self._ended and not self._ignored:
            self._pieces.append(data)
            self._size += len(data)
        if fin:
            self.end(broken=False)
        self._arrived.set()
        return self._size < STREAM_BYTES_MAX

    def end(self, *, broken: bool) -> None:
        self.broken = self.broken or broken
        self._ended = True
        self._arrived.set()
        self._session.settle(self)


class Session:
    """One connection. `received` is given its bytes, b"" at their end."""

    def __init__(self, pipe: Pipe, *, ping: bool) -> None:
        self._pipe = pipe
        self._reader, self._writer = spdy.Reader(), spdy.Writer()
        self._streams: dict[int, Stream] = {}
        self._new: deque[Stream] = deque()
        self._arrived = asyncio.Event()
        self._full: set[int] = set()
        self._last = self._pings = 0
        # Set once no more can come from the client.
        self.gone = asyncio.Event()
        self._beat = asyncio.get_running_loop().call_later(PING_S, self._ping) if ping else None

    async def accept(self) -> Stream | None:
        """The next stream that the client opens; None when it can open no more."""
        while not self._new:
            if self.gone.is_set():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._new.popleft()

    async def send(self, frame: spdy.Frame) -> None:
        """Gone once the connection is."""
        if self.gone.is_set():
            raise Gone("the connection is closed")
        await self._pipe.send(self._writer.encoded(frame))

    def send_soon(self, frame: spdy.Frame) -> None:
        if not self.gone.is_set():
            self._pipe.send_soon(self._writer.encoded(frame))

    def close(self, status: int = 0) -> None:
        """Say good-bye; the connection itself is its owner's to close."""
        self.send_soon(spdy.GoAway(self._last, status))
        self._end()

    def received(self, data: bytes) -> None:
        if self.gone.is_set():
            return None
        if not data:
            return self._end()
        try:
            for frame in self._reader.frames(data):
                if not self.gone.is_set():
                    self._frame(frame)
        except spdy.Malformed:
            self.close(status=1)
        return None

    def has_room(self, stream: Stream) -> None:
        """The stream takes data again."""
        if stream.number in self._full:
            self._full.discard(stream.number)
            if not self._full:
                self._pipe.resume()

    def settle(self, stream: Stream) -> None:
        """Forget a stream that is over."""
        if stream.over:
            self._streams.pop(stream.number, None)
            self.has_room(stream)

    def _frame(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.SynStream():
                self._open(frame)
            case spdy.Data(number, data, fin):
                if number > self._last:
                    raise spdy.Malformed(f"data of stream {number}, which nobody opened")
                stream = self._streams.get(number)
                if stream is not None and not stream.take(data, fin=fin) and number not in self._full:
                    self._full.add(number)
                    self._pipe.pause()
            case spdy.Reset(number):
                if (stream := self._streams.get(number)) is not None:
                    stream.end(broken=True)
            case spdy.Ping(number):
                if number % 2:
                    self.send_soon(frame)
            case spdy.GoAway():
                # Streams that are open go on; the client opens no more.
                if not self._streams:
                    self._end()

    def _open(self, frame: spdy.SynStream) -> None:
        if frame.stream <= self._last or not frame.stream % 2:
            raise spdy.Malformed(f"stream {frame.stream} after stream {self._last}")
        self._last = frame.stream
        if max(len(self._streams), len(self._new)) >= STREAMS_MAX:
            return self.send_soon(spdy.Reset(frame.stream, spdy.REFUSED_STREAM))
        stream = Stream(self, frame.stream, frame.headers)
        self._streams[frame.stream] = stream
        self.send_soon(spdy.SynReply(frame.stream))
        if frame.fin:
            stream.take(b"", fin=True)
        self._new.append(stream)
        self._arrived.set()
        return None

    def _ping(self) -> None:
        self._pings += 2
        self.send_soon(spdy.Ping(self._pings))
        self._beat = asyncio.get_running_loop().call_later(PING_S, self._ping)

    def _end(self) -> None:
        if self.gone.is_set():
            return
        self.gone.set()
        if self._beat is not None:
            self._beat.cancel()
        for stream in list(self._streams.values()):
            stream.end(broken=True)
        self._arrived.set()
