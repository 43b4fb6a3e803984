"""WebSocket (RFC 6455) on a connection that began as HTTP/1.1: whole messages in and out.

wsproto does the framing. Reading stops while QUEUED_MAX messages wait to be taken; a message is at most
MESSAGE_BYTES_MAX, and writing goes only as fast as the client takes it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque

from raftsman import errors
from wsproto import frame_protocol as frames

from .http import Exchange, Request

QUEUED_MAX = 32
MESSAGE_BYTES_MAX = 4 << 20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def wanted(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.upgrade and request.headers.get("upgrade", "").lower() == "websocket"


def protocol_of(request: Request, known: tuple[str, ...]) -> str:
    """The best of the known subprotocols that the client offers. errors.BadRequest if there is none."""
    offered = [one.strip() for one in request.headers.get("sec-websocket-protocol", "").split(",")]
    for one in known:
        if one in offered:
            return one
    raise errors.BadRequest(f"none of the WebSocket protocols {offered} is spoken here: {', '.join(known)}")


class Socket:
    """One upgraded connection."""

    def __init__(self, request: Request, exchange: Exchange, protocol: str) -> None:
        """Answer the handshake. errors.BadRequest if it is not one."""
        key = request.headers.get("sec-websocket-key", "")
        if request.headers.get("sec-websocket-version") != "13" or not key:
            raise errors.BadRequest("a WebSocket handshake needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key")
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
        self._frames = frames.FrameProtocol(client=False, extensions=[])
        self._exchange = exchange
        self._messages: deque[bytes] = deque()
        self._partial = bytearray()
        self._arrived = asyncio.Event()
        self._closed = False
        head = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
        exchange.upgrade([*head, ("Sec-WebSocket-Protocol", protocol)], self._received)

    async def receive(self) -> bytes | None:
        """The next message; None when the client has closed."""
        while not self._messages:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if len(self._messages) < QUEUED_MAX:
            self._exchange.resume_reading()
        return message

    async def send(self, data: bytes) -> None:
        await self._exchange.write_raw(bytes(self._frames.send_data(data, fin=True)))

    def close(self) -> None:
        self._closed = True
        self._arrived.set()
        self._exchange.write_soon(bytes(self._frames.close(frames.CloseReason.NORMAL_CLOSURE)))

    def _received(self, data: bytes) -> None:
        """Bytes of the connection; b"" at its end."""
        if not data:
            self._closed = True
        else:
            self._frames.receive_bytes(data)
            try:
                for frame in self._frames.received_frames():
                    self._frame(frame)
            except frames.ParseFailed:
                self._closed = True
        if len(self._messages) >= QUEUED_MAX:
            self._exchange.pause_reading()
        self._arrived.set()

    def _frame(self, frame: frames.Frame) -> None:
        payload = frame.payload
        if frame.opcode is frames.Opcode.PING:
            assert isinstance(payload, bytes | bytearray)
            self._exchange.write_soon(bytes(self._frames.pong(bytes(payload))))
        elif frame.opcode is frames.Opcode.CLOSE:
            self._closed = True
        elif isinstance(payload, str | bytes | bytearray):
            self._partial += payload.encode() if isinstance(payload, str) else payload
            if len(self._partial) > MESSAGE_BYTES_MAX:
                raise frames.ParseFailed("the message is too long")
            if frame.message_finished:
                self._messages.append(bytes(self._partial))
                self._partial.clear()
