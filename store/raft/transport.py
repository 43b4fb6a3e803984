"""Connections between members: mutual TLS, msgpack frames, one connection a pair; the higher address dials.

Reads and writes sockets; tells its owner who is up, who is down and what arrived. A connection must name itself within
HELLO_S, as a member whose certificate covers the address it names; anything else is closed. Bounds: a frame is at most
FRAME_BYTES_MAX, a hello HELLO_BYTES_MAX; a peer that lets BUFFER_BYTES_MAX pile up is disconnected.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from raftsman import logs

from .guard import BadMessage, Message

PROTOCOL = "raftsman-peer-1"
FRAME_BYTES_MAX = 24 << 20
HELLO_BYTES_MAX = 1024
HELLO_S = 5.0
BUFFER_BYTES_MAX = 32 << 20
UNAUTHENTICATED_MAX = 64
DIAL_FIRST_S = 0.05
DIAL_MAX_S = 1.0

log = logs.get(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


@dataclass(frozen=True, slots=True)
class PeerTls:
    """Contexts for both directions; both demand and verify the other side's certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Upcalls:
    """What the transport tells its owner, on the Raft loop."""

    received: Callable[[Node, Message], None]
    library_sends: Callable[[Node, Message], bool]
    up: Callable[[Node], None]
    down: Callable[[Node], None]
    settled: Callable[[], None]


class PeerTransport(Transport):  # type: ignore[misc]
    """pysyncobj's transport. `cluster` names the cluster: members of another one are refused."""

    def __init__(self, me: str, others: list[str], *, cluster: str, tls: PeerTls | None) -> None:
        super().__init__(None, None, None)
        self._me = me
        self._nodes = {other: Node(other) for other in others}
        self._cluster = cluster
        self._tls = tls
        self._connections: dict[Node, _Connection] = {}
        self._strangers: set[_Connection] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []
        self.upcalls: Upcalls | None = None

    async def start(self, listen: list[tuple[str, int]]) -> None:
        """Listen and dial. Raises OSError when an address cannot be had."""
        loop = asyncio.get_running_loop()
        for host, port in listen if self._nodes else []:
            context = self._tls.server if self._tls else None
            server = await loop.create_server(
                lambda: _Connection(self), host, port, ssl=context, ssl_handshake_timeout=HELLO_S if context else None
            )
            self._servers.append(server)
        for name, node in self._nodes.items():
            if self._me > name:
                self._tasks.append(loop.create_task(self._dial(node), name=f"dial {name}"))

    async def _dial(self, node: Node) -> None:
        host, port = split(node.id)
        context = self._tls.client if self._tls else None
        loop = asyncio.get_running_loop()
        delay = DIAL_FIRST_S
        while True:
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, node), host, port, ssl=context, server_hostname=host if context else None
                )
                delay = DIAL_FIRST_S
                await connection.closed.wait()
            except (OSError, ssl.SSLError) as error:
                log.debug("peer unreachable", peer=node.id, error=error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, DIAL_MAX_S)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            server.close()
        for connection in [*self._connections.values(), *self._strangers]:
            connection.abort()

    # -- what the library asks

    @property
    def ready(self) -> bool:
        return True

    def send(self, node: Node, message: Message) -> bool:
        assert self.upcalls is not None
        return self.upcalls.library_sends(node, message)

    def destroy(self) -> None:
        self.close()

    # -- connections

    def post(self, node: Node, message: Message) -> bool:
        """Send now. False when the peer is not connected."""
        connection = self._connections.get(node)
        return connection is not None and connection.write(message)

    def connected(self, node: Node) -> bool:
        return node in self._connections

    def deliver(self, node: Node, message: Message) -> None:
        """Hand a message to the library."""
        self._onMessageReceived(node, message)

    def opened(self, connection: _Connection) -> bool:
        if connection.node is None and len(self._strangers) >= UNAUTHENTICATED_MAX:
            return False
        self._strangers.add(connection)
        return True

    def hello(self) -> Message:
        return {"protocol": PROTOCOL, "cluster": self._cluster, "name": self._me}

    def greeted(self, connection: _Connection, hello: object) -> str | None:
        """Take in a peer's hello; answers why it is refused."""
        if not isinstance(hello, dict) or hello.get("protocol") != PROTOCOL:
            return "it does not speak the peer protocol"
        if hello.get("cluster") != self._cluster:
            return "it belongs to another cluster"
        name = hello.get("name")
        node = self._nodes.get(name) if isinstance(name, str) else None
        if node is None or (connection.node is not None and connection.node != node):
            return "it is not the member it should be"
        if connection.node is None and node.id < self._me:
            return "it should wait to be dialled"
        if self._tls is not None and not _covers(connection.certificate(), split(node.id)[0]):
            return "its certificate is not for the address it names"
        self._accept(connection, node)
        return None

    def _accept(self, connection: _Connection, node: Node) -> None:
        assert self.upcalls is not None
        self._strangers.discard(connection)
        old = self._connections.get(node)
        if old is not None:
            self._forget(old, node)
            old.abort()
        connection.node = node
        self._connections[node] = connection
        self._onNodeConnected(node)
        self.upcalls.up(node)
        log.info("peer connected", peer=node.id)

    def lost(self, connection: _Connection) -> None:
        self._strangers.discard(connection)
        node = connection.node
        if node is not None and self._connections.get(node) is connection:
            self._forget(connection, node)
            log.info("peer lost", peer=node.id)

    def _forget(self, connection: _Connection, node: Node) -> None:
        assert self.upcalls is not None
        del self._connections[node]
        self._onNodeDisconnected(node)
        self.upcalls.down(node)


class _Connection(asyncio.Protocol):
    """One connection; `node` is the peer that was dialled, or None until an incoming one has named itself."""

    def __init__(self, owner: PeerTransport, node: Node | None = None) -> None:
        self._owner = owner
        self.node = node
        self._known = False
        self._buffer = bytearray()
        self._out: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._out = transport  # type: ignore[assignment]
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._owner.opened(self):
            self.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(HELLO_S, self.abort)
        self.write(self._owner.hello())

    def certificate(self) -> Any:
        assert self._out is not None
        return self._out.get_extra_info("peercert")

    def abort(self) -> None:
        if self._out is not None:
            self._out.abort()
        self._owner.lost(self)

    def write(self, message: Message) -> bool:
        out = self._out
        if out is None or out.is_closing():
            return False
        if out.get_write_buffer_size() > BUFFER_BYTES_MAX:
            log.warning("peer does not read, disconnecting", peer=self.node)
            self.abort()
            return False
        data = _encode(message)
        out.write(len(data).to_bytes(4, "little") + data)
        return True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._frames()
        except (BadMessage, msgspec.DecodeError, RecursionError) as error:
            log.warning("peer sent garbage, disconnecting", peer=self.node, error=error)
            self.abort()
        assert self._owner.upcalls is not None
        self._owner.upcalls.settled()

    def _frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 4:
            length = int.from_bytes(buffer[at : at + 4], "little")
            if length > (FRAME_BYTES_MAX if self._known else HELLO_BYTES_MAX):
                raise BadMessage(f"frame of {length} bytes")
            if len(buffer) - at - 4 < length:
                break
            message = _decode(bytes(buffer[at + 4 : at + 4 + length]))
            at += 4 + length
            self._message(message)
            if self._out is None or self._out.is_closing():
                break
        del buffer[:at]

    def _message(self, message: object) -> None:
        if not self._known:
            refused = self._owner.greeted(self, message)
            if refused:
                raise BadMessage(refused)
            self._known = True
            if self._deadline is not None:
                self._deadline.cancel()
            return
        if not isinstance(message, dict) or self.node is None:
            raise BadMessage("not a message")
        assert self._owner.upcalls is not None
        self._owner.upcalls.received(self.node, message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._owner.lost(self)
        self.closed.set()


def split(address: str) -> tuple[str, int]:
    """HOST:PORT or [HOST]:PORT."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _covers(certificate: Any, host: str) -> bool:
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind in ("DNS", "IP Address") and name == host for kind, name in names)
