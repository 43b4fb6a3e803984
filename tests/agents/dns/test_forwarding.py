"""Asking the node's own servers: real sockets on loopback, a server that behaves and misbehaves as told."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import dnslib
import pytest
from raftsman.agents.dns import forwarder as forwarding
from raftsman.agents.dns import resolvers, wire
from raftsman.agents.dns.cache import Cache
from raftsman.agents.dns.forwarder import Forwarder, Unreachable
from raftsman.agents.dns.wire import Answer, Code, Record, Type

Behave = Callable[[wire.Query, bytes], list[bytes]]


def good(query: wire.Query, message: bytes) -> list[bytes]:
    return [wire.respond(query, Answer(records=(Record(query.name, Type.A, 60, bytes([192, 0, 2, 1])),)))]


class Upstream(asyncio.DatagramProtocol):
    def __init__(self, behave: Behave) -> None:
        self.behave, self.asked = behave, 0
        self.ids: list[bytes] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        self.ids.append(data[:2])
        for answer in self.behave(wire.parse_query(data), data):
            self.transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def upstream(behave: Behave = good) -> AsyncIterator[Upstream]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Upstream(behave), local_addr=("127.0.0.1", 0))
    protocol.port = transport.get_extra_info("sockname")[1]
    try:
        yield protocol
    finally:
        transport.close()


class Fixed(resolvers.Resolvers):
    def __init__(self, *ports: int) -> None:
        self._fixed = tuple(("127.0.0.1", port) for port in ports)

    def servers(self, *, now_s: float) -> tuple[resolvers.Server, ...]:
        return self._fixed


def addresses(answer: bytes) -> list[str]:
    return [str(record.rdata) for record in dnslib.DNSRecord.parse(answer).rr]


async def test_an_answer_comes_back_under_the_client_s_id_though_another_went_out() -> None:
    async with upstream() as server:
        forwarder = Forwarder(Fixed(server.port), cache=Cache(entries_max=1))
        for identity in range(5):
            message = wire.query(f"n{identity}.example.com", Type.A, identity=7)
            answer = await forwarder.ask(message)
            assert answer[:2] == b"\0\7"
            assert addresses(answer) == ["192.0.2.1"]
        assert len(set(server.ids)) == 5


async def test_a_second_question_is_answered_from_memory_with_less_time_left() -> None:
    cache, message = Cache(), wire.query("example.com", Type.A)
    query = wire.parse_query(message)
    cache.put(message, good(query, message)[0], now_s=100)
    later = cache.get(message, now_s=130)
    assert later is not None
    assert dnslib.DNSRecord.parse(later).rr[0].ttl == 30
    assert cache.get(message, now_s=160) is None
    assert len(cache) == 0


async def test_negative_answers_are_kept_as_long_as_the_soa_says_and_failures_never() -> None:
    cache, message = Cache(), wire.query("example.com", Type.A)
    query = wire.parse_query(message)
    soa = Record("com", Type.SOA, 900, wire.write_name("a") + wire.write_name("b") + struct.pack("!5I", 1, 2, 3, 4, 10))
    cache.put(message, wire.respond(query, Answer(Code.NO_SUCH_NAME, authority=(soa,))), now_s=0)
    assert cache.get(message, now_s=9)
    assert not cache.get(message, now_s=11)
    for answer in (Answer(Code.SERVER_FAILURE), Answer(Code.NO_SUCH_NAME)):
        cache.put(message, wire.respond(query, answer), now_s=0)
        assert not cache.get(message, now_s=0)


def test_the_memory_is_bounded() -> None:
    cache = Cache(entries_max=3)
    for number in range(10):
        message = wire.query(f"n{number}", Type.A)
        cache.put(message, good(wire.parse_query(message), message)[0], now_s=0)
    assert len(cache) == 3


async def test_answers_to_other_questions_or_ids_are_ignored() -> None:
    def forged(query: wire.Query, message: bytes) -> list[bytes]:
        right = good(query, message)[0]
        other = wire.parse_query(wire.query("evil.example.com", Type.A, identity=query.id))
        wrong_id = bytes([right[0] ^ 1]) + right[1:]
        return [b"", b"junk", message, wrong_id, good(other, message)[0], right]

    async with upstream(forged) as server:
        answer = await Forwarder(Fixed(server.port)).ask(wire.query("example.com", Type.A))
        assert dnslib.DNSRecord.parse(answer).q.qname == "example.com"


async def test_a_silent_or_closed_server_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "ATTEMPT_TIMEOUT_S", 0.1)
    async with upstream(lambda query, message: []) as silent, upstream() as server:
        forwarder = Forwarder(Fixed(1, silent.port, server.port))
        assert addresses(await forwarder.ask(wire.query("example.com", Type.A))) == ["192.0.2.1"]
        assert silent.asked == 1


async def test_without_any_answer_it_is_unreachable_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "ATTEMPT_TIMEOUT_S", 0.05)
    async with upstream(lambda query, message: []) as silent:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await Forwarder(Fixed(silent.port)).ask(wire.query("example.com", Type.A))
        assert time.monotonic() - began < 1
        assert silent.asked == forwarding.ATTEMPTS_MAX
    with pytest.raises(Unreachable):
        await Forwarder(Fixed()).ask(wire.query("example.com", Type.A))


async def test_equal_questions_share_one_request() -> None:
    async with upstream() as server:
        forwarder = Forwarder(Fixed(server.port))
        asked = [forwarder.ask(wire.query("example.com", Type.A, identity=number)) for number in range(20)]
        answers = await asyncio.gather(*asked)
        assert server.asked == 1
        assert [int.from_bytes(answer[:2]) for answer in answers] == list(range(20))


async def test_requests_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "IN_FLIGHT_MAX", 2)
    monkeypatch.setattr(forwarding, "ATTEMPT_TIMEOUT_S", 0.1)
    async with upstream(lambda query, message: []) as silent:
        forwarder = Forwarder(Fixed(silent.port))
        asked = [forwarder.ask(wire.query(f"n{number}", Type.A)) for number in range(3)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, Unreachable) for result in results)
        assert "too many" in str(results[2])


def test_servers_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    found = resolvers.Resolvers(path, own=frozenset({"10.96.0.10"}))
    assert found.servers(now_s=0) == ()
    path.write_text("# x\nnameserver 192.0.2.1\nnameserver 10.96.0.10\nsearch a\nnameserver nonsense\n")
    assert found.servers(now_s=0.5) == ()
    assert found.servers(now_s=2) == (("192.0.2.1", 53),)
    path.write_text("nameserver 192.0.2.2\nnameserver ::1\n")
    assert found.servers(now_s=4) == (("192.0.2.2", 53), ("::1", 53))
    path.unlink()
    assert found.servers(now_s=6) == ()
