"""WebSocket (RFC 6455) on a connection that began as HTTP/1.1: whole messages in and out.

wsproto does the framing. A message is at most MESSAGE_BYTES_MAX; writing goes only as fast as the client takes it, and
reading stops while the taker of the messages says so. A ping every PING_S finds clients that vanished while nothing was
read from them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable

from raftsman import errors
from wsproto import frame_protocol as frames

from .http import Exchange, Request

MESSAGE_BYTES_MAX = 4 << 20
PROTOCOLS_MAX = 32
PING_S = 20.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def wanted(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.upgrade and request.headers.get("upgrade", "").lower() == "websocket"


def offered(request: Request) -> list[str]:
    """The subprotocols that the client speaks, best first."""
    words = request.headers.get("sec-websocket-protocol", "").split(",")[:PROTOCOLS_MAX]
    return [word.strip() for word in words if word.strip()]


def protocol_of(request: Request, known: tuple[str, ...], *, unnamed: str = "") -> str:
    """The best of the known subprotocols that the client offers, or `unnamed` for a client that offers none.

    errors.BadRequest if there is none.
    """
    there = offered(request)
    if not there and unnamed:
        return unnamed
    for one in known:
        if one in there:
            return one
    raise errors.BadRequest(f"none of the WebSocket protocols {there} is spoken here: {', '.join(known)}")


class Socket:
    """One upgraded connection. `received` is called with each message, and with None at the end."""

    def __init__(
        self, request: Request, exchange: Exchange, protocol: str, received: Callable[[bytes | None], None]
    ) -> None:
        """Answer the handshake. errors.BadRequest if it is not one."""
        key = request.headers.get("sec-websocket-key", "")
        if request.headers.get("sec-websocket-version") != "13" or not key:
            raise errors.BadRequest("a WebSocket handshake needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key")
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
        self._frames = frames.FrameProtocol(client=False, extensions=[])
        self._exchange, self._take = exchange, received
        self._partial = bytearray()
        self._closed = self._closing = False
        self._text = protocol.startswith("base64.") or ".base64." in protocol
        head = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
        if protocol in offered(request):
            head.append(("Sec-WebSocket-Protocol", protocol))
        exchange.upgrade(head, self._received)
        self._beat = asyncio.get_running_loop().call_later(PING_S, self._ping)

    async def send(self, data: bytes) -> None:
        """A message; returns when the client's side has room for more. Nothing is sent after the end."""
        if not self._closed and not self._closing:
            payload: bytes | str = data.decode("ascii") if self._text else data
            await self._exchange.write_raw(bytes(self._frames.send_data(payload, fin=True)))

    def send_soon(self, data: bytes) -> None:
        """A short message, without waiting for room."""
        if not self._closed and not self._closing:
            self._exchange.write_soon(bytes(self._frames.send_data(data, fin=True)))

    def pause(self) -> None:
        self._exchange.pause_reading()

    def resume(self) -> None:
        self._exchange.resume_reading()

    def close(self, code: frames.CloseReason = frames.CloseReason.NORMAL_CLOSURE) -> None:
        if not self._closing:
            self._closing = True
            self._beat.cancel()
            self._exchange.write_soon(bytes(self._frames.close(code)))

    def _ping(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(PING_S, self._ping)
        if self._exchange.has_room:
            self._exchange.write_soon(bytes(self._frames.ping()))

    def _received(self, data: bytes) -> None:
        """Bytes of the connection; b"" at its end."""
        if self._closed:
            return None
        if not data:
            return self._ended()
        self._frames.receive_bytes(data)
        try:
            for frame in self._frames.received_frames():
                self._frame(frame)
        except (frames.ParseFailed, UnicodeError):
            self.close(frames.CloseReason.PROTOCOL_ERROR)
            self._ended()

    def _ended(self) -> None:
        if not self._closed:
            self._closed = True
            self._beat.cancel()
            self._take(None)

    def _frame(self, frame: frames.Frame) -> None:
        payload = frame.payload
        if frame.opcode is frames.Opcode.PING:
            assert isinstance(payload, bytes | bytearray)
            self._exchange.write_soon(bytes(self._frames.pong(bytes(payload))))
        elif frame.opcode is frames.Opcode.CLOSE:
            self.close()
            self._ended()
        elif frame.opcode is not frames.Opcode.PONG and isinstance(payload, str | bytes | bytearray):
            self._partial += payload.encode() if isinstance(payload, str) else payload
            if len(self._partial) > MESSAGE_BYTES_MAX:
                raise frames.ParseFailed("the message is too long")
            if frame.message_finished:
                message = bytes(self._partial)
                self._partial.clear()
                self._take(message)
