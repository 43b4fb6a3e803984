"""A terminal over a WebSocket, in Kubernetes' channel protocols (KEP-4006): a message's first byte is its channel.

    0 input   1 output   2 errors   3 the end, a Status   4 the terminal's size, as JSON   255 (v5) closes a channel

Before v4 the end is a text, empty if all went well. In the base64 protocols messages are text: the channel is a digit
and what follows is encoded. Reading stops while QUEUED_MAX messages wait to be taken.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator

import orjson
from raftsman import codec
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import documents, websocket
from .http import Exchange, Request

OLDEST = "channel.k8s.io"
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", OLDEST, "base64.channel.k8s.io")
QUEUED_MAX = 32
SIDE_MAX = 1 << 16
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


def packed(channel: int, data: bytes, protocol: str) -> bytes:
    """A message of a channel."""
    if "base64" in protocol:
        return str(channel).encode() + base64.b64encode(data)
    return bytes((channel,)) + data


def unpacked(message: bytes, protocol: str) -> tuple[int, bytes] | None:
    """(channel, data); None for what is neither."""
    if not message:
        return None
    if "base64" not in protocol:
        return message[0], message[1:]
    try:
        return message[0] - ord("0"), base64.b64decode(message[1:], validate=True)
    except binascii.Error:
        return None


class Channels:
    """One client."""

    def __init__(self, request: Request, exchange: Exchange, start: core.ExecStart) -> None:
        self.protocol = websocket.protocol_of(request, PROTOCOLS, unnamed=OLDEST)
        self.gone = asyncio.Event()
        self._messages: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._start = start
        self._socket = websocket.Socket(request, exchange, self.protocol, self._received)
        if self.protocol != PROTOCOLS[0]:
            # Old clients may wait for this: the connection stands. kubectl, which speaks v5, is only puzzled.
            self._socket.send_soon(packed(STDOUT if start.stdout else STDERR, b"", self.protocol))

    async def input(self) -> AsyncIterator[bytes]:
        while (message := await self._receive()) is not None:
            found = unpacked(message, self.protocol)
            if found is None:
                continue
            channel, data = found
            if channel == STDIN and data and self._start.stdin:
                yield core.ExecRequest(stdin=data).SerializeToString()
            elif channel == CLOSE and data == bytes((STDIN,)) and self.protocol == PROTOCOLS[0]:
                yield core.ExecRequest(stdin_closed=True).SerializeToString()
            elif channel == RESIZE and (size := size_of(data)) is not None:
                yield core.ExecRequest(size=size).SerializeToString()

    async def output(self, answer: core.ExecResponse) -> None:
        if answer.WhichOneof("message") == "stderr":
            await self._socket.send(packed(STDERR, answer.stderr, self.protocol))
        else:
            await self._socket.send(packed(STDOUT, answer.stdout, self.protocol))

    async def end(self, status: meta.Status) -> None:
        told = told_as(status, new=self.protocol[:2] in ("v4", "v5"))
        if told:
            await self._socket.send(packed(ERROR, told, self.protocol))

    def close(self) -> None:
        self._socket.close()

    async def _receive(self) -> bytes | None:
        while not self._messages:
            if self.gone.is_set():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if len(self._messages) == QUEUED_MAX - 1:
            self._socket.resume()
        return message

    def _received(self, message: bytes | None) -> None:
        if message is None:
            self.gone.set()
        else:
            self._messages.append(message)
            if len(self._messages) == QUEUED_MAX:
                self._socket.pause()
        self._arrived.set()


def told_as(status: meta.Status, *, new: bool) -> bytes:
    """The end as the error channel carries it: a Status, or for old protocols a text, empty for success."""
    if new:
        return documents.dumped(codec.to_json(status))
    return b"" if status.status == "Success" else status.message.encode()


def size_of(data: bytes) -> core.TerminalSize | None:
    """A terminal's size; None for what is none."""
    try:
        tree = orjson.loads(data)
        width, height = int(tree["Width"]), int(tree["Height"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    if not (0 < width < SIDE_MAX and 0 < height < SIDE_MAX):
        return None
    return core.TerminalSize(columns=width, rows=height)
