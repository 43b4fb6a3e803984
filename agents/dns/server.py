"""Listen for queries over UDP and TCP and answer each from the zone, or by asking on.

The zone's own names are answered on the spot. Bounds: PENDING_MAX forwarded queries wait at a time (beyond that:
SERVER_FAILURE), CONNECTIONS_MAX TCP connections of which each answers one query after another and is closed after
CONNECTION_IDLE_S of silence.
"""

import asyncio
import random
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import prometheus_client
from raftsman import logs

from . import wire
from .forwarder import Forwarder, Unreachable
from .wire import Answer, Code, Query, Record, Type
from .zone import Zone, cname_target

PENDING_MAX = 1024
CONNECTIONS_MAX = 128
CONNECTION_IDLE_S = 10.0
WARNING_INTERVAL_S = 10.0

_SIZE = struct.Struct("!H")
_FAILED = Answer(Code.SERVER_FAILURE, authoritative=False)

log = logs.get(__name__)
_answers = prometheus_client.Counter("raftsman_dns_answers", "Answers sent.", ["source", "code"])


class Responder:
    """From the bytes of a query to those of its answer."""

    def __init__(self, zone: Zone, forwarder: Forwarder, *, is_ready: Callable[[], bool]) -> None:
        """Until `is_ready` the cluster's names are answered with SERVER_FAILURE, since not to know is not to be."""
        self._zone, self._forwarder, self._is_ready = zone, forwarder, is_ready
        self._warned_s = float("-inf")

    def at_once(self, message: bytes, *, over_tcp: bool) -> bytes | Query | None:
        """The answer if it can be given without asking on, None if the message deserves none, else the query."""
        try:
            query = wire.parse_query(message)
        except wire.Malformed as error:
            return wire.respond(error.query, Answer(error.code, authoritative=False)) if error.query else None
        if query.class_ != wire.CLASS_IN:
            return wire.respond(query, Answer(Code.REFUSED, authoritative=False))
        answer = self._zone.lookup(query.name, query.type)
        if answer is None:
            return query
        if not self._is_ready():
            answer = _FAILED
        elif _dangling(answer, query):
            return query
        return self._encoded(query, answer, over_tcp, "cluster")

    async def later(self, message: bytes, query: Query, *, over_tcp: bool) -> bytes:
        """The answer to a query that `at_once` gave back."""
        answer = self._zone.lookup(query.name, query.type)
        try:
            if answer is None:
                forwarded = await self._forwarder.ask(message, over_tcp=over_tcp)
                code = forwarded[3] & wire.RCODE_MASK
                _answers.labels("forwarded", Code(code).name if code in list(Code) else str(code)).inc()
                return forwarded
            answer = await self._followed(answer, query.type)
        except Unreachable as error:
            self._warn(query, error)
            answer = _FAILED
        return self._encoded(query, answer, over_tcp, "forwarded")

    async def _followed(self, answer: Answer, kind: int) -> Answer:
        """An answer that ends in an outside name, with what that name resolves to."""
        target = cname_target(answer.records[-1])
        found = await self._forwarder.ask(wire.query(target, kind))
        if found[2] & (wire.TC >> 8):
            found = await self._forwarder.ask(wire.query(target, kind), over_tcp=True)
        code = found[3] & wire.RCODE_MASK
        if code not in (Code.OK, Code.NO_SUCH_NAME):
            return _FAILED
        return replace(answer, code=Code(code), records=answer.records + tuple(_addresses(found)))

    def _encoded(self, query: Query, answer: Answer, over_tcp: bool, source: str) -> bytes:
        _answers.labels(source, answer.code.name).inc()
        if len(answer.records) > 1 and query.type in (Type.A, Type.AAAA, Type.SRV):
            answer = replace(answer, records=_rotated(answer.records))
        return wire.respond(query, answer, limit=wire.MESSAGE_BYTES_MAX if over_tcp else wire.udp_limit(query))

    def _warn(self, query: Query, error: Unreachable) -> None:
        now_s = time.monotonic()
        if now_s - self._warned_s >= WARNING_INTERVAL_S:
            self._warned_s = now_s
            log.warning("a name could not be resolved upstream", name=query.name, error=error)


def _dangling(answer: Answer, query: Query) -> bool:
    """Whether the answer is an alias of a name outside, of which the client wants the addresses."""
    records = answer.records
    return bool(records) and records[-1].type == Type.CNAME and query.type in (Type.A, Type.AAAA)


def _rotated(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Clients tend to take the first: start anywhere. Aliases stay in front of what they stand for."""
    if any(record.type == Type.CNAME for record in records):
        return records
    start = random.randrange(len(records))
    return records[start:] + records[:start]


def _addresses(answer: bytes) -> list[Record]:
    """The addresses and aliases among the answers of a message."""
    records: list[Record] = []
    try:
        count = wire.HEADER.unpack_from(answer)[3]
        _, offset = wire.read_name(answer, wire.HEADER.size)
        offset += 4
        for _ in range(count):
            name, kind, _, ttl_s, data, offset = wire.read_record(answer, offset)
            if kind in (Type.A, Type.AAAA):
                records.append(Record(name, kind, ttl_s, answer[data:offset]))
            elif kind == Type.CNAME:
                target, _ = wire.read_name(answer, data)
                records.append(Record(name, kind, ttl_s, wire.write_name(target)))
    except wire.Malformed:
        return []
    return records


class UdpServer(asyncio.DatagramProtocol):
    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._transport: asyncio.DatagramTransport | None = None
        self._pending: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        answer = self._responder.at_once(data, over_tcp=False)
        if isinstance(answer, bytes):
            self._transport.sendto(answer, addr)
        elif answer is not None and len(self._pending) < PENDING_MAX:
            task = asyncio.create_task(self._later(data, answer, addr))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        elif answer is not None:
            self._transport.sendto(wire.respond(answer, _FAILED), addr)

    def error_received(self, exc: Exception) -> None:
        """A client that went away before its answer; nothing to do."""

    async def _later(self, message: bytes, query: Query, address: tuple[str, int]) -> None:
        answer = await self._responder.later(message, query, over_tcp=False)
        limit = wire.udp_limit(query)
        if len(answer) > limit:
            answer = wire.respond(query, replace(_FAILED, code=Code.OK), limit=0)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, address)


class TcpServer:
    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._open = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection (asyncio.start_server's callback)."""
        if self._open >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open += 1
        try:
            while True:
                async with asyncio.timeout(CONNECTION_IDLE_S):
                    (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
                    message = await reader.readexactly(size)
                answer = self._responder.at_once(message, over_tcp=True)
                if isinstance(answer, Query):
                    answer = await self._responder.later(message, answer, over_tcp=True)
                if answer is None:
                    return
                writer.write(_SIZE.pack(len(answer)) + answer)
                async with asyncio.timeout(CONNECTION_IDLE_S):
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= 1
            writer.close()
