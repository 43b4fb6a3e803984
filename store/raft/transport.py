"""Connections between members: mutual TLS, msgpack frames, one connection a pair; the higher id dials.

Reads and writes sockets; tells its owner who is up, who is down and what arrived. A connection must name a member
within HELLO_S, with a certificate for one of the addresses at which the members have that one; anything else is closed,
a member that was removed or that lost its data directory with the reason. Members come, go and move by `configure`.
Who asks for the members (see `discovery`) is answered and closed. A peer that was dialled and is silent for SILENCE_S
while it should be heard is dialled again. Bounds: a frame is at most
FRAME_BYTES_MAX, a hello HELLO_BYTES_MAX; a peer that lets BUFFER_BYTES_MAX pile up is disconnected.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from raftsman import logs

from . import discovery
from .guard import BadMessage, Message

PROTOCOL = "raftsman-peer-2"
FRAME_BYTES_MAX = 24 << 20
HELLO_BYTES_MAX = 1024
HELLO_S = 5.0
BUFFER_BYTES_MAX = 32 << 20
UNAUTHENTICATED_MAX = 64
REMOVED, LOST = "removed", "lost"
"""Why a member is refused for good: it was removed; it is met with another data directory than before."""
_MEMBER = re.compile("[0-9a-f]{1,16}")
DIAL_FIRST_S = 0.05
DIAL_MAX_S = 1.0
DIAL_S = 4.0
SILENCE_S = 10.0

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
    refuse: Callable[[int, str], str]
    """Why a member with this data directory must not take part, "" when it may."""
    refused: Callable[[str], None]
    """A peer says so of this member."""
    members: Callable[[Message], discovery.Answer]
    """The members, for whoever asks; the argument is the question."""
    expected: Callable[[Node], bool]
    """Whether this peer has something to say now: it leads, or nobody does, or this member leads."""


@dataclass(slots=True)
class Traffic:
    """Bytes to and from a peer."""

    sent: int = 0
    received: int = 0


class PeerTransport(Transport):  # type: ignore[misc]
    """pysyncobj's transport. Members are named by their ids in hex.

    `cluster` names the cluster: members of another one are refused. `instance` names this member's data directory.
    """

    def __init__(self, me: str, *, cluster: str, instance: str, tls: PeerTls | None) -> None:
        super().__init__(None, None, None)
        self._me = me
        self._cluster = cluster
        self._instance = instance
        self._tls = tls
        self._nodes: dict[str, Node] = {}
        self._urls: dict[str, tuple[str, ...]] = {}
        self._connections: dict[Node, _Connection] = {}
        self._strangers: set[_Connection] = set()
        self._dials: dict[str, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server] = []
        self._started = False
        self.traffic: dict[str, Traffic] = {}
        """By peer. Any thread may read it."""
        self.upcalls: Upcalls | None = None

    async def start(self, listen: list[tuple[str, int]]) -> None:
        """Listen and dial. Raises OSError when an address cannot be had."""
        loop = asyncio.get_running_loop()
        context = self._tls.server if self._tls else None
        for host, port in listen:
            server = await loop.create_server(
                lambda: _Connection(self), host, port, ssl=context, ssl_handshake_timeout=HELLO_S if context else None
            )
            self._servers.append(server)
        self._started = True
        self._dial_all()

    def configure(self, urls: dict[str, tuple[str, ...]], *, removed: Callable[[int], bool]) -> None:
        """The other members, by id, and where each can be reached. Who is not among them any more is hung up on.

        Only who was `removed` is told so: it ends at that word.
        """
        for name in sorted(self._nodes.keys() - urls.keys()):
            connection = self._connections.get(self._nodes.pop(name))
            if connection is not None and removed(int(name, 16)):
                connection.refuse(REMOVED)
            elif connection is not None:
                connection.abort()
        for name in self._dials.keys() - urls.keys():
            self._dials.pop(name).cancel()
        self._nodes.update({name: Node(name) for name in urls if name not in self._nodes})
        self._urls = dict(urls)
        if self._started:
            self._dial_all()

    @property
    def urls(self) -> dict[str, tuple[str, ...]]:
        """Where the others are, by id."""
        return self._urls

    @property
    def complete(self) -> bool:
        """Whether everybody is connected."""
        return len(self._connections) >= len(self._nodes)

    @property
    def unreached(self) -> list[tuple[str, ...]]:
        """Where those are who are not connected."""
        return [self._urls[name] for name, node in self._nodes.items() if node not in self._connections]

    def _dial_all(self) -> None:
        loop = asyncio.get_running_loop()
        for name, node in self._nodes.items():
            if self._me > name and name not in self._dials:
                self._dials[name] = loop.create_task(self._dial(node), name=f"dial {name}")

    async def _dial(self, node: Node) -> None:
        context = self._tls.client if self._tls else None
        loop = asyncio.get_running_loop()
        delay = DIAL_FIRST_S
        tries = 0
        while True:
            urls = self._urls[node.id]
            host, port = discovery.place(urls[tries % len(urls)])
            tries += 1
            try:
                async with asyncio.timeout(DIAL_S):
                    _, connection = await loop.create_connection(
                        partial(_Connection, self, node),
                        host,
                        port,
                        ssl=context,
                        server_hostname=host if context else None,
                    )
                delay = DIAL_FIRST_S
                await self._stay(connection, node)
            except (OSError, ssl.SSLError) as error:
                log.debug("peer unreachable", peer=node.id, error=error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, DIAL_MAX_S)

    async def _stay(self, connection: _Connection, node: Node) -> None:
        """Until it is closed, or silent for too long: a machine that lost its power says no goodbye.

        Who only listens, a learner, would never find out that the other end is gone.
        """
        while not connection.closed.is_set():
            heard = connection.heard
            try:
                async with asyncio.timeout(SILENCE_S):
                    await connection.closed.wait()
            except TimeoutError:
                if connection.heard == heard and self.upcalls is not None and self.upcalls.expected(node):
                    log.info("peer is silent, disconnecting", peer=node.id)
                    connection.abort()

    def close(self) -> None:
        for task in self._dials.values():
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
        return {"protocol": PROTOCOL, "cluster": self._cluster, "member": self._me, "instance": self._instance}

    def greeted(self, connection: _Connection, hello: object) -> bool:
        """Take in the first frame of a connection; whether it goes on as a peer. Raises BadMessage."""
        assert self.upcalls is not None
        if not isinstance(hello, dict):
            raise BadMessage("it does not speak the peer protocol")
        if hello.get("ask") == discovery.QUESTION:
            connection.finish(msgspec.to_builtins(self.upcalls.members(hello)))
            return False
        if hello.get("protocol") != PROTOCOL:
            raise BadMessage("it does not speak the peer protocol")
        if hello.get("cluster") != self._cluster:
            raise BadMessage("it belongs to another cluster")
        node = self._named(connection, hello)
        return node is not None and self._accept(connection, node)

    def _named(self, connection: _Connection, hello: Message) -> Node | None:
        """The member that a hello names; None when it was refused. Raises BadMessage for everybody else."""
        assert self.upcalls is not None
        name, instance = hello.get("member"), hello.get("instance")
        if not isinstance(name, str) or not isinstance(instance, str) or not is_member(name):
            raise BadMessage("it does not say who it is")
        node = self._nodes.get(name)
        if node is not None and self._tls is not None and not _covers(connection.certificate(), self._urls[name]):
            raise BadMessage("its certificate is for none of the addresses of the member that it names")
        reason = self.upcalls.refuse(int(name, 16), instance)
        if reason:
            connection.refuse(reason)
            return None
        if node is None or (connection.node is not None and connection.node != node):
            raise BadMessage("it is not the member it should be")
        if connection.node is None and node.id < self._me:
            raise BadMessage("it should wait to be dialled")
        return node

    def _accept(self, connection: _Connection, node: Node) -> bool:
        assert self.upcalls is not None
        self._strangers.discard(connection)
        old = self._connections.get(node)
        if old is not None:
            self._forget(old, node)
            old.abort()
        connection.node = node
        connection.traffic = self.traffic.setdefault(node.id, Traffic())
        self._connections[node] = connection
        self._onNodeConnected(node)
        self.upcalls.up(node)
        log.info("peer connected", peer=node.id)
        return True

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
        self.heard = 0
        """How often something arrived."""
        self.traffic = Traffic()
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

    def refuse(self, reason: str) -> None:
        """Tell the other side why, and hang up."""
        log.info("peer refused", peer=self.node, reason=reason)
        self.finish({"refused": reason})

    def finish(self, message: Message) -> None:
        """A last message."""
        self.write(message)
        if self._out is not None:
            self._out.close()
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
        self.traffic.sent += len(data)
        out.writelines((len(data).to_bytes(4, "little"), data))
        return True

    def data_received(self, data: bytes) -> None:
        self.heard += 1
        self.traffic.received += len(data)
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
            with memoryview(buffer) as whole, whole[at + 4 : at + 4 + length] as frame:
                message = _decode(frame)
            at += 4 + length
            self._message(message)
            if self._out is None or self._out.is_closing():
                break
        del buffer[:at]

    def _message(self, message: object) -> None:
        assert self._owner.upcalls is not None
        if isinstance(message, dict) and "refused" in message and self.node is not None:
            self._owner.upcalls.refused(str(message["refused"]))
            return
        if not self._known:
            self._known = self._owner.greeted(self, message)
            if self._known and self._deadline is not None:
                self._deadline.cancel()
            return
        if not isinstance(message, dict) or self.node is None:
            raise BadMessage("not a message")
        self._owner.upcalls.received(self.node, message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._owner.lost(self)
        self.closed.set()


def is_member(name: str) -> bool:
    """Whether this is a member's id in hex."""
    return _MEMBER.fullmatch(name) is not None


def _covers(certificate: Any, urls: tuple[str, ...]) -> bool:
    hosts = {discovery.place(url)[0] for url in urls}
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind in ("DNS", "IP Address") and name in hosts for kind, name in names)
