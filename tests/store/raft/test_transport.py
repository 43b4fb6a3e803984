"""The peer port: members with the right certificate talk, everybody else is closed, nobody is unpickled."""

from __future__ import annotations

import asyncio
import pickle
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from certificates import Authority
from members import free_ports
from raftsman.store.mvcc import members as membership
from raftsman.store.raft import discovery, transport
from raftsman.store.raft.transport import PeerTls, PeerTransport, Upcalls


class Ear:
    """Collects what a transport tells."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.up: asyncio.Queue[str] = asyncio.Queue()
        self.down: asyncio.Queue[str] = asyncio.Queue()
        self.refusals: dict[str, str] = {}
        self.refused: asyncio.Queue[str] = asyncio.Queue()
        self.expects = False

    def upcalls(self) -> Upcalls:
        return Upcalls(
            received=lambda node, message: self.received.put_nowait((node.id, message)),
            library_sends=lambda node, message: True,
            up=lambda node: self.up.put_nowait(node.id),
            down=lambda node: self.down.put_nowait(node.id),
            settled=lambda: None,
            refuse=lambda member, instance: self.refusals.get(instance, ""),
            refused=self.refused.put_nowait,
            members=lambda asking: discovery.Answer("c", 1, membership.Dumped(), ""),
            expected=lambda node: self.expects,
        )


@asynccontextmanager
async def pair(tls: Callable[[int], PeerTls | None] = lambda _: None) -> AsyncIterator[list[tuple[Any, Ear, str]]]:
    """Members a and b, each with its address."""
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip("ab", free_ports(2), strict=True)}
    made = []
    for place, (name, address) in enumerate(addresses.items()):
        each = PeerTransport(name, cluster="c", instance=f"disk of {name}", tls=tls(place))
        others = {other: (f"http://{at}",) for other, at in addresses.items() if other != name}
        each.configure(others, removed=lambda _: False)
        ear = Ear()
        each.upcalls = ear.upcalls()
        await each.start([discovery.place(address)])
        made.append((each, ear, address))
    try:
        yield made
    finally:
        for each, _, _ in made:
            each.close()


def contexts(authority: Authority, cert: tuple[Path, Path]) -> PeerTls:
    made = []
    for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
        context = ssl.create_default_context(purpose, cafile=str(authority.path))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*cert)
        made.append(context)
    return PeerTls(*made)


async def get(queue: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(5):
        return await queue.get()


def frame(message: object) -> bytes:
    data = msgspec.msgpack.encode(message)
    return struct.pack("<I", len(data)) + data


async def closed_after(address: str, data: bytes, *, tls: ssl.SSLContext | None = None) -> bool:
    """Whether the other side hangs up on this."""
    host, port = discovery.place(address)
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.close()


async def test_members_find_each_other_and_talk() -> None:
    async with pair() as [(low, low_ear, _), (high, high_ear, _)]:
        assert await get(low_ear.up) == "b"
        assert await get(high_ear.up) == "a"
        assert low.post(low._nodes["b"], {"type": "x", "data": b"1" * 100_000})
        assert (await get(high_ear.received))[1]["data"] == b"1" * 100_000
        assert min(low.traffic["b"].sent, high.traffic["a"].received) > 100_000
        assert low.traffic["b"].received < 1_000
        high.close()
        assert await get(low_ear.down) == "b"


async def test_a_member_that_is_no_longer_one_is_hung_up_on_with_the_reason() -> None:
    async with pair() as [(low, low_ear, _), (_, high_ear, _)]:
        await get(low_ear.up)
        low_ear.refusals["disk of b"] = transport.REMOVED
        low.configure({}, removed=lambda _: True)
        assert await get(low_ear.down) == "b"
        assert await get(high_ear.refused) == transport.REMOVED


async def test_who_is_only_unknown_is_not_told_that_it_was_removed() -> None:
    async with pair() as [(low, low_ear, _), (_, high_ear, _)]:
        await get(low_ear.up)
        low.configure({}, removed=lambda _: False)
        assert await get(low_ear.down) == "b"
        assert await get(high_ear.down) == "a"
        assert high_ear.refused.empty()


async def test_whoever_may_connect_is_told_the_members() -> None:
    async with pair() as [_, (_, _, address)]:
        answer = await discovery.ask([f"http://{address}"], discovery.question("", ""), tls=None)
        assert answer == discovery.Answer("c", 1, membership.Dumped(), "")


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
        struct.pack("<I", 1 << 30),
        struct.pack("<I", 8) + b"\xc1" * 8,
        frame({"protocol": "raftsman-peer-1", "cluster": "c", "member": "a", "instance": "x"}),
        frame({"protocol": transport.PROTOCOL, "cluster": "other", "member": "a", "instance": "x"}),
        frame({"protocol": transport.PROTOCOL, "cluster": "c", "member": "f00", "instance": "x"}),
        frame({"protocol": transport.PROTOCOL, "cluster": "c", "member": "../x", "instance": "x"}),
        frame(["hello"]),
        frame(7),
    ],
)
async def test_strangers_and_garbage_are_hung_up_on(garbage: bytes) -> None:
    async with pair() as [(_, low_ear, low_name), (_, high_ear, high_name)]:
        await get(low_ear.up)
        for name in (low_name, high_name):
            assert await closed_after(name, garbage)
        assert low_ear.down.empty()
        assert high_ear.down.empty()


async def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    data = pickle.dumps(Bomb(), 2)
    async with pair() as [(_, low_ear, low_name), _]:
        await get(low_ear.up)
        assert await closed_after(low_name, struct.pack("<I", len(data)) + data)
    assert not (tmp_path / "exploded").exists()


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HELLO_S", 0.2)
    async with pair() as [(_, low_ear, low_name), _]:
        await get(low_ear.up)
        assert await closed_after(low_name, b"")


async def test_a_peer_that_was_dialled_and_says_nothing_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE_S", 0.05)
    async with pair() as ((_, a, _), (_, b, _)):
        assert (await get(a.up), await get(b.up)) == ("b", "a")
        await asyncio.sleep(0.2)
        assert b.down.empty()
        b.expects = True
        assert (await get(b.down), await get(b.up)) == ("a", "a")


async def test_with_certificates_only_members_get_in(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    member = ours.issue("peer", ip="127.0.0.1")
    async with pair(lambda _: contexts(ours, member)) as [(_, low_ear, low_name), _]:
        assert await get(low_ear.up) == "b"
        hello = frame({"protocol": transport.PROTOCOL, "cluster": "c", "member": "b", "instance": "x"})
        assert await closed_after(low_name, hello), "no TLS"
        bare = ssl.create_default_context(cafile=str(ours.path))
        assert await closed_after(low_name, hello, tls=bare), "no certificate"
        bare.load_cert_chain(*theirs.issue("peer", ip="127.0.0.1"))
        assert await closed_after(low_name, hello, tls=bare), "a certificate of another authority"
        elsewhere = ssl.create_default_context(cafile=str(ours.path))
        elsewhere.load_cert_chain(*ours.issue("other", ip="127.0.0.9"))
        assert await closed_after(low_name, hello, tls=elsewhere), "a certificate for another address"
        assert low_ear.down.empty()


async def test_a_peer_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BUFFER_BYTES_MAX", 1 << 16)
    async with pair() as [(low, low_ear, _), (high, _, _)]:
        await get(low_ear.up)
        node = low._nodes["b"]
        next(iter(high._connections.values()))._out.pause_reading()
        for _ in range(400):
            if not low.post(node, {"type": "x", "data": b"1" * 100_000}):
                break
        assert await get(low_ear.down) == "b"
