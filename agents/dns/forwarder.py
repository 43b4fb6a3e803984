"""Ask the node's own name servers what the cluster does not know.

Queries go out as they came, under a fresh random id and from a fresh port; an answer counts only if it comes from the
server asked, with that id and the same question. Servers are tried in turn, ATTEMPTS_MAX times in all, each for
ATTEMPT_TIMEOUT_S. Equal questions share one request, so a question that comes back to us through a loop of servers
joins itself and dies of its timeout. Bounds: IN_FLIGHT_MAX requests; beyond that, at once `Unreachable`.
"""

import asyncio
import secrets
import struct
import time
from typing import cast

from . import wire
from .cache import Cache
from .resolvers import Resolvers, Server

ATTEMPTS_MAX = 3
ATTEMPT_TIMEOUT_S = 2.0
IN_FLIGHT_MAX = 256

_UNHELPFUL = (wire.Code.SERVER_FAILURE, wire.Code.REFUSED)
_SIZE = struct.Struct("!H")


class Unreachable(Exception):
    """No name server gave a usable answer."""


class Forwarder:
    def __init__(self, resolvers: Resolvers, *, cache: Cache | None = None) -> None:
        self._resolvers = resolvers
        self._cache = cache or Cache()
        self._in_flight: dict[tuple[bytes, bool], asyncio.Task[bytes]] = {}

    async def ask(self, message: bytes, *, over_tcp: bool = False) -> bytes:
        """Forward a query that is known to be well-formed; returns an answer with its id. Raises Unreachable."""
        answer = self._cache.get(message, now_s=time.monotonic())
        if answer is None:
            answer = await self._shared(message, over_tcp)
        return message[:2] + answer[2:]

    async def close(self) -> None:
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _shared(self, message: bytes, over_tcp: bool) -> bytes:
        key = (message[2:], over_tcp)
        task = self._in_flight.get(key)
        if task is None:
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                raise Unreachable("too many requests are under way")
            task = asyncio.create_task(self._fetch(message, over_tcp))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # One asker going away must not take the answer from the others.
        return await asyncio.shield(task)

    def _finished(self, key: tuple[bytes, bool], task: asyncio.Task[bytes]) -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever asked has been told, if they are still there

    async def _fetch(self, message: bytes, over_tcp: bool) -> bytes:
        servers = self._resolvers.servers(now_s=time.monotonic())
        if not servers:
            raise Unreachable("the node has no name servers")
        failures: list[str] = []
        for attempt in range(max(ATTEMPTS_MAX, len(servers))):
            server = servers[attempt % len(servers)]
            outgoing = secrets.token_bytes(2) + message[2:]
            try:
                async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                    answer = await (_over_tcp if over_tcp else _over_udp)(outgoing, server)
            except (OSError, TimeoutError, EOFError) as error:
                failures.append(f"{server[0]}: {type(error).__name__}")
                continue
            if answer[3] & wire.RCODE_MASK in (wire.Code.SERVER_FAILURE, wire.Code.REFUSED) and attempt + 1 < len(
                servers
            ):
                continue
            self._cache.put(message, answer, now_s=time.monotonic())
            return answer
        raise Unreachable("; ".join(failures))


def answers(answer: bytes, outgoing: bytes) -> bool:
    """Whether a message is an answer to exactly this query: id, direction and question."""
    if len(answer) < wire.HEADER.size or answer[:2] != outgoing[:2] or not answer[2] & 0x80:
        return False
    try:
        asked = wire.parse_query(outgoing).question
        name, after = wire.read_name(answer, wire.HEADER.size)
        wanted, _ = wire.read_name(outgoing, wire.HEADER.size)
    except wire.Malformed:
        return False
    # Some servers change the case of the question; the type and class must still follow the name.
    return answer[4:6] == b"\0\1" and name == wanted and answer[after : after + 4] == asked[-4:]


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, outgoing: bytes) -> None:
        self._outgoing = outgoing
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.DatagramTransport, transport).sendto(self._outgoing)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and answers(data, self._outgoing):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.answer.cancel()


async def _over_udp(outgoing: bytes, server: Server) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(outgoing), remote_addr=server)
    try:
        return await exchange.answer
    finally:
        transport.close()


async def _over_tcp(outgoing: bytes, server: Server) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(_SIZE.pack(len(outgoing)) + outgoing)
        (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
        answer = await reader.readexactly(size)
    finally:
        writer.close()
    if not answers(answer, outgoing):
        raise EOFError("the answer is to another question")
    return answer
