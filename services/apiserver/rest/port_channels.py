"""port-forward in the WebSocket protocol of channels: each port of the query has two, data and errors.

Channel 2n is the nth port's data, 2n+1 its errors; the first message of each is the port (16 bits, little endian). Each
port has one connection, made at once. A client cannot end its direction alone. Reading stops while QUEUED_MAX messages
of any channel wait to be taken.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable

from raftsman import errors
from raftsman.services.apiserver.verbs import pod_ports, streams
from raftsman.services.apiserver.verbs.pod_ports import Pod

from . import terminals, websocket
from .http import Exchange, Request
from .terminal_channels import packed, unpacked

PROTOCOLS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "portforward.k8s.io")
PORTS_MAX = 64
QUEUED_MAX = 16


async def serve(request: Request, exchange: Exchange, pod: Pod) -> None:
    """One connection for each port of the query, until all have ended or the client has gone."""
    ports = _ports(request)
    protocol = websocket.protocol_of(request, PROTOCOLS, unnamed=PROTOCOLS[0])
    gone = asyncio.Event()
    inputs = [_Input() for _ in ports]

    def received(message: bytes | None) -> None:
        if message is None:
            gone.set()
            return
        found = unpacked(message, protocol)
        # Data channels have the even numbers.
        at, odd = divmod(found[0], 2) if found is not None else (-1, 1)
        if found is not None and not odd and 0 <= at < len(inputs) and inputs[at].take(found[1]):
            socket.pause()

    socket = websocket.Socket(request, exchange, protocol, received)

    def on_room() -> None:
        if not any(one.full for one in inputs):
            socket.resume()

    for one in inputs:
        one.on_room = on_room

    async def every() -> None:
        await asyncio.gather(
            *(_channel(socket, protocol, 2 * at, port, pod, inputs[at]) for at, port in enumerate(ports))
        )

    try:
        await terminals.until_gone(every(), gone)
    finally:
        socket.close()


class _Input:
    """What a client sent on one channel and nobody took yet."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self.on_room: Callable[[], None] = lambda: None
        self.closed = False

    @property
    def full(self) -> bool:
        return len(self._pieces) >= QUEUED_MAX

    def take(self, piece: bytes) -> bool:
        """True when no more should come."""
        if piece and not self.closed:
            self._pieces.append(piece)
            self._arrived.set()
        return self.full

    def close(self) -> None:
        """Nobody takes any more."""
        self.closed = True
        self._pieces.clear()
        self.on_room()

    async def next(self) -> bytes:
        while not self._pieces:
            self._arrived.clear()
            await self._arrived.wait()
        piece = self._pieces.popleft()
        self.on_room()
        return piece


async def _channel(socket: websocket.Socket, protocol: str, number: int, port: int, pod: Pod, given: _Input) -> None:
    """One port's connection, on channels `number` and the one after it."""
    for channel in (number, number + 1):
        await socket.send(packed(channel, struct.pack("<H", port), protocol))
    try:
        async with pod_ports.connected(pod, port) as connection:

            async def sending() -> None:
                while True:
                    await connection.send(await given.next())

            forward = asyncio.create_task(sending())
            try:
                while (piece := await connection.receive()) is not None:
                    await socket.send(packed(number, piece, protocol))
            finally:
                forward.cancel()
                await asyncio.gather(forward, return_exceptions=True)
    except errors.ApiError as failed:
        await socket.send(packed(number + 1, failed.message.encode(), protocol))
    finally:
        given.close()


def _ports(request: Request) -> list[int]:
    words = [word for given in request.query.get("ports", []) for word in given.split(",")]
    if not words:
        raise errors.BadRequest('query parameter "ports" is required')
    if len(words) > PORTS_MAX:
        raise errors.BadRequest(f"ports: {len(words)} are too many: at most {PORTS_MAX}")
    return [port_of(word) for word in words]


def port_of(word: str) -> int:
    """A port's number. errors.BadRequest."""
    if not (word.isascii() and word.isdigit() and len(word) <= 5):
        raise errors.BadRequest(f"port {word[:40]!r} is no number between 1 and {streams.PORT_MAX}")
    streams.check_port(int(word))
    return int(word)
