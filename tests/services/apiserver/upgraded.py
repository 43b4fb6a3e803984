"""Clients of what REST upgrades to: WebSocket messages, and SPDY frames, plain or tunnelled."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from raftsman.services.apiserver.rest import spdy
from wsproto import frame_protocol as frames

from .cluster import ApiServerProcess

ANSWER_S = 30.0
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


class Refused(Exception):
    """The server answered something else than 101."""


class Wire:
    """A connection after its upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    async def receive(self) -> bytes:
        async with asyncio.timeout(ANSWER_S):
            return await self.reader.read(65_536)

    def vanish(self) -> None:
        self.writer.transport.abort()


async def upgraded(
    server: ApiServerProcess, path: str, *, method: str = "GET", headers: dict[str, str], **query: object
) -> Wire:
    """errors.Refused has the body if the server would not."""
    context = ssl.create_default_context(cafile=server.authority.ca)
    context.check_hostname = False
    context.load_cert_chain(*server.authority.issue("kubernetes-admin", groups=("system:masters",)))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    lines = [f"{method} {path}?{urlencode(query, doseq=True)} HTTP/1.1", "Host: x", "Connection: Upgrade"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(ANSWER_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if " 101 " not in head.partition("\r\n")[0]:
            raise Refused((await reader.read(65_536)).decode())
    return Wire(reader, writer, head)


class WebSocket:
    """Whole messages."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._frames = frames.FrameProtocol(client=True, extensions=[])

    @classmethod
    async def open(cls, server: ApiServerProcess, path: str, protocol: str, **query: object) -> WebSocket:
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
        if protocol:
            headers["Sec-WebSocket-Protocol"] = protocol
        return cls(await upgraded(server, path, headers=headers, **query))

    async def send(self, message: bytes | str) -> None:
        self.wire.writer.write(bytes(self._frames.send_data(message, fin=True)))
        await self.wire.writer.drain()

    async def messages(self) -> AsyncIterator[bytes]:
        """Until the server closes."""
        partial = bytearray()
        while data := await self.wire.receive():
            self._frames.receive_bytes(data)
            for frame in self._frames.received_frames():
                if frame.opcode is frames.Opcode.CLOSE:
                    return
                payload = frame.payload
                partial += payload.encode() if isinstance(payload, str) else payload  # type: ignore[arg-type]
                if frame.message_finished:
                    yield bytes(partial)
                    partial.clear()


class Spdy:
    """Streams, each what came on it so far."""

    def __init__(self, wire: Wire | WebSocket) -> None:
        self._wire = wire
        self._writer, self._reader = spdy.Writer(), spdy.Reader()
        self._next = 1
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()

    @classmethod
    async def open(cls, server: ApiServerProcess, path: str, protocol: str, **query: object) -> Spdy:
        headers = {"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol, "Content-Length": "0"}
        return cls(await upgraded(server, path, method="POST", headers=headers, **query))

    async def stream(self, **headers: str) -> int:
        number, self._next = self._next, self._next + 2
        await self.send(spdy.SynStream(number, headers))
        return number

    async def send(self, frame: spdy.Frame) -> None:
        data = self._writer.encoded(frame)
        if isinstance(self._wire, WebSocket):
            await self._wire.send(data)
        else:
            self._wire.writer.write(data)
            await self._wire.writer.drain()

    async def until_ended(self, *numbers: int) -> None:
        """Read until these streams have ended, or the connection has."""
        source = self._wire.messages() if isinstance(self._wire, WebSocket) else _pieces(self._wire)
        async for piece in source:
            for frame in self._reader.frames(piece):
                self._take(frame)
            if {*numbers} <= self.ended | self.reset:
                return

    def _take(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.Data(number, data, fin):
                self.data[number] = self.data.get(number, b"") + data
                if fin:
                    self.ended.add(number)
            case spdy.Reset(number):
                self.reset.add(number)


async def _pieces(wire: Wire) -> AsyncIterator[bytes]:
    while data := await wire.receive():
        yield data
