"""TLS on the one user-facing port, with client certificates wanted but not required: REST and gRPC behind it.

A client that offers HTTP/1.1 in ALPN, or no ALPN, gets REST (kubectl, which offers both, as well); one that offers `h2`
alone is a gRPC client.

gRPC's own TLS can only demand a certificate or ignore it. So TLS ends here (TLS 1.2 or later), and the decrypted bytes
of gRPC go on to the gRPC server over a Unix socket in a directory that only this user can enter. This side of
each such connection is bound to an unguessable abstract name first; gRPC reports that name as the call's peer, and
`Peers` tells what certificate stood behind it.

At most CONNECTIONS_MAX connections, and fewer where the process may not open so many files: a connection of REST is
one, one of gRPC is three. A handshake takes at most HANDSHAKE_S; each direction stops reading when the other
side does not take what was read.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import socket
import ssl
from collections.abc import Sequence
from typing import Any, cast

from raftsman import logs

from .access.identity import AUTHENTICATED, FRONT_PROXY, User
from .aggregation.requestheader import FrontProxy
from .rest.http import Connection, Handler

CONNECTIONS_MAX = 16_384
GRPC_FILES = 3
"""A connection of gRPC: the client's, this side of the one to the gRPC server, and that server's."""
FILES_SPARED = 256
"""For everything that is no client's connection."""
HANDSHAKE_S = 10.0
PREFIX = "raftsman-"
# grpcio writes an abstract address so.
PEER_PREFIX = f"unix-abstract:{PREFIX}"
_USER_TIMEOUT_MS = 60_000

log = logs.get(__name__)


class Peers:
    """Who stands behind each connection now, by the name that gRPC reports: None without a certificate."""

    def __init__(self) -> None:
        self._users: dict[str, User | None] = {}

    def __len__(self) -> int:
        return len(self._users)

    def enter(self, user: User | None) -> str:
        token = secrets.token_hex(16)
        self._users[PEER_PREFIX + token] = user
        return token

    def leave(self, token: str) -> None:
        self._users.pop(PEER_PREFIX + token, None)

    def user(self, peer: str) -> User | None:
        return self._users.get(peer)


def user_of_certificate(certificate: dict[str, Any] | None) -> User | None:
    """The common name and the organisations of a verified certificate, as `SSLSocket.getpeercert` gives it."""
    if not certificate:
        return None
    name, groups = "", []
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED)) if name else None


def context(*, cert: str, key: str, client_cas: Sequence[str]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(cert, key)
    for client_ca in filter(None, client_cas):
        made.load_verify_locations(client_ca)
        made.verify_mode = ssl.CERT_OPTIONAL
    made.set_alpn_protocols(["http/1.1", "h2"])
    # Every connection shows its certificate anew.
    made.num_tickets = 0
    return made


class Terminator:
    """The listener on the secure port."""

    def __init__(self, peers: Peers, socket_path: str, rest: Handler, front_proxy: FrontProxy) -> None:
        self._peers, self._socket_path, self._rest = peers, socket_path, rest
        self._front_proxy = front_proxy
        self._server: asyncio.Server | None = None
        self._open: set[_Front | Connection] = set()
        self._joined = 0
        self._files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_SPARED

    def __len__(self) -> int:
        """The connections that are open, of REST and gRPC."""
        return len(self._open)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self, host: str, port: int, *, tls: ssl.SSLContext) -> None:
        """OSError if the address is in use."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Front(self), host, port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S, backlog=1024
        )

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        self.stop_listening()
        for front in list(self._open):
            front.close()

    async def connect(self, front: _Front) -> None:
        """Join a new TLS connection to the gRPC server."""
        if self._files + GRPC_FILES > self._files_max:
            log.warning("a connection was refused: too many files are open", limit=self._files_max)
            return front.close()
        self._joined += 1
        front.counted = True
        token = front.token = self._peers.enter(self._user(front.transport))
        back_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            back_socket.setblocking(False)
            back_socket.bind(f"\0{PREFIX}{token}")
            loop = asyncio.get_running_loop()
            await loop.sock_connect(back_socket, self._socket_path)
            await loop.create_unix_connection(lambda: _Back(front), sock=back_socket)
        except OSError as error:
            log.warning("a connection could not be joined to the gRPC server", error=error)
            back_socket.close()
            front.close()
        return None

    def _user(self, transport: asyncio.Transport) -> User | None:
        """Who the connection's certificate says. One of the front proxy's authority says nobody by itself."""
        tls = transport.get_extra_info("ssl_object")
        proxy = self._front_proxy.issued(tls.getpeercert(binary_form=True)) if tls is not None else None
        if proxy is not None:
            return FRONT_PROXY if self._front_proxy.trusts(proxy) else None
        return user_of_certificate(transport.get_extra_info("peercert"))

    @property
    def _files(self) -> int:
        return len(self._open) + self._joined * (GRPC_FILES - 1)

    def serve_rest(self, front: _Front) -> None:
        """Go on with a new TLS connection as HTTP/1.1."""
        connection = Connection(self._user(front.transport), self._rest, left=lambda: self._open.discard(connection))
        self._open.discard(front)
        self._open.add(connection)
        front.transport.set_protocol(connection)
        connection.connection_made(front.transport)

    def entered(self, front: _Front) -> bool:
        if len(self._open) >= CONNECTIONS_MAX or self._files >= self._files_max:
            return False
        self._open.add(front)
        return True

    def left(self, front: _Front) -> None:
        self._open.discard(front)
        self._joined -= front.counted
        self._peers.leave(front.token)


class _Front(asyncio.Protocol):
    """The TLS side of a connection."""

    def __init__(self, terminator: Terminator) -> None:
        self._terminator = terminator
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.back: asyncio.Transport | None = None
        self.token = ""
        self.counted = False
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        ssl_object = transport.get_extra_info("ssl_object")
        if not self._terminator.entered(self):
            log.warning("a connection was refused: there are too many", limit=CONNECTIONS_MAX)
            return self.transport.abort()
        _watch_over(transport.get_extra_info("socket"))
        if ssl_object is not None and ssl_object.selected_alpn_protocol() != "h2":
            return self._terminator.serve_rest(self)
        self.transport.pause_reading()
        self._joining = asyncio.get_running_loop().create_task(self._terminator.connect(self))
        return None

    def joined(self, back: asyncio.Transport) -> None:
        self.back = back
        if self.transport.is_closing():
            back.abort()
        else:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.back is not None:
            self.back.write(data)

    def pause_writing(self) -> None:
        if self.back is not None:
            self.back.pause_reading()

    def resume_writing(self) -> None:
        if self.back is not None and not self.back.is_closing():
            self.back.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._terminator.left(self)
        if self.back is not None:
            self.back.close()

    def close(self) -> None:
        self.transport.close()


class _Back(asyncio.Protocol):
    """The gRPC side of a connection."""

    def __init__(self, front: _Front) -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._front.joined(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._front.transport.write(data)

    def pause_writing(self) -> None:
        self._front.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._front.transport.is_closing():
            self._front.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._front.close()


def _watch_over(raw: Any) -> None:
    """Let the kernel notice a peer that vanished."""
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
