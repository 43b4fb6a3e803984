"""What no well-behaved client does: each gets etcd's answer or an end, and a client beside it does not notice."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import members
import pytest
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest
Code = grpc.StatusCode
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
IDLE = 10_000
ANSWERED_WITHIN_S = 5.0


@contextlib.asynccontextmanager
async def undisturbed(store: members.Store) -> AsyncIterator[None]:
    """A client that writes and reads all the while, and whose every call is answered in time."""
    stop = asyncio.Event()

    async def work() -> int:
        count = 0
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            while not stop.is_set():
                count += 1
                await kv.Put(Put(key=b"beside", value=b"%d" % count), timeout=ANSWERED_WITHIN_S)
                found = await kv.Range(Range(key=b"beside"), timeout=ANSWERED_WITHIN_S)
                assert found.kvs[0].value == b"%d" % count
                await asyncio.sleep(0.005)
        return count

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        stop.set()
        assert await task > 0


def resident_mb(store: members.Store) -> int:
    assert store.process is not None
    lines = Path(f"/proc/{store.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < IDLE + 1000:
        pytest.skip(f"{before[1]} open files are too few")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def refused(call: Awaitable[object], code: grpc.StatusCode, text: str = "") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, caught.value.details()
    assert text in (caught.value.details() or "")


# -- requests


@pytest.mark.parametrize(
    "request_",
    [
        lambda kv: kv.Put(Put(key=b"k", value=bytes(1_600_000))),
        lambda kv: kv.DeleteRange(rpc_pb2.DeleteRangeRequest(key=bytes(1_600_000))),
        lambda kv: kv.Txn(
            rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=Put(key=b"k", value=bytes(1_600_000)))])
        ),
    ],
)
async def test_too_large_requests_get_etcds_answer(
    channel: grpc.aio.Channel, request_: Callable[[rpc_pb2_grpc.KVStub], Awaitable[object]]
) -> None:
    await refused(request_(rpc_pb2_grpc.KVStub(channel)), Code.INVALID_ARGUMENT, "etcdserver: request is too large")


async def test_far_too_large_requests_are_not_even_read(channel: grpc.aio.Channel) -> None:
    await refused(rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k", value=bytes(20 << 20))), Code.RESOURCE_EXHAUSTED)


async def test_how_large_is_a_flag(tmp_path: Path) -> None:
    value = bytes(9_900_000)
    with members.three(tmp_path, "--max-request-bytes", "10000000") as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        other = next(store for store in stores if store is not leader)
        for store in (leader, other):
            async with store.channel() as channel:
                kv = rpc_pb2_grpc.KVStub(channel)
                await asyncio.gather(*(kv.Put(Put(key=b"%d" % number, value=value)) for number in range(3)))
                await refused(kv.Put(Put(key=b"k", value=value + bytes(200_000))), Code.INVALID_ARGUMENT, "too large")
        async with other.channel() as channel:
            assert (await rpc_pb2_grpc.KVStub(channel).Range(Range(key=b"2"))).kvs[0].value == value


async def test_unknown_fields_are_ignored_and_what_is_no_message_is_refused(channel: grpc.aio.Channel) -> None:
    put = channel.unary_unary("/etcdserverpb.KV/Put")
    assert await put(Put(key=b"unknown").SerializeToString() + bytes((0xBA, 0x3E, 1, 65)))
    for garbage in (b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\0" * 100):
        with pytest.raises(grpc.aio.AioRpcError):
            await put(garbage)
    await refused(channel.unary_unary("/etcdserverpb.KV/Nothing")(b""), Code.UNIMPLEMENTED)


async def test_leases_at_the_edges(channel: grpc.aio.Channel) -> None:
    leases, kv = rpc_pb2_grpc.LeaseStub(channel), rpc_pb2_grpc.KVStub(channel)
    grant = rpc_pb2.LeaseGrantRequest
    for ttl in (0, 1, -5):
        assert (await leases.LeaseGrant(grant(TTL=ttl))).TTL == 2, "etcd's least"
    assert (await leases.LeaseGrant(grant(TTL=9_000_000_000))).TTL == 9_000_000_000
    await refused(leases.LeaseGrant(grant(TTL=9_000_000_001)), Code.OUT_OF_RANGE, "too large lease TTL")
    assert (await leases.LeaseGrant(grant(TTL=60, ID=-7))).ID == -7
    await kv.Put(Put(key=b"negative", lease=-7))
    await leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=-7))
    assert (await kv.Range(Range(key=b"negative"))).count == 0
    for lease in (0, 12345):
        await refused(leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease)), Code.NOT_FOUND, "lease not found")
        assert (await leases.LeaseTimeToLive(rpc_pb2.LeaseTimeToLiveRequest(ID=lease))).TTL == -1
    stream = leases.LeaseKeepAlive()
    for lease in (0, 12345, -7):
        await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
        assert await kept(stream) == (lease, 0)
    await stream.done_writing()


async def kept(stream: Any) -> tuple[int, int]:
    answer = await stream.read()
    return answer.ID, answer.TTL


async def test_thousands_of_leases_are_kept_at_once(store: members.Store, channel: grpc.aio.Channel) -> None:
    leases = rpc_pb2_grpc.LeaseStub(channel)
    ids = range(1_000_000, 1_002_000)
    async with undisturbed(store):
        await asyncio.gather(*(leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(ID=id_, TTL=600)) for id_ in ids))
        streams = [leases.LeaseKeepAlive() for _ in range(20)]

        async def storm(place: int) -> None:
            stream = streams[place]
            for lease in ids[place::20]:
                await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
            for lease in ids[place::20]:
                assert await kept(stream) == (lease, 600)
            await stream.done_writing()

        await asyncio.gather(*map(storm, range(20)))
        revoke = rpc_pb2.LeaseRevokeRequest
        await asyncio.gather(*(leases.LeaseRevoke(revoke(ID=lease)) for lease in ids))


# -- watches


async def test_a_client_with_ten_thousand_watches_hears_from_all(
    store: members.Store, channel: grpc.aio.Channel
) -> None:
    count = 10_000
    call = rpc_pb2_grpc.WatchStub(channel).Watch()
    create = rpc_pb2.WatchCreateRequest(key=b"crowd")

    async def open_all() -> None:
        for _ in range(count + 1):
            await call.write(rpc_pb2.WatchRequest(create_request=create))

    async with undisturbed(store), asyncio.timeout(60):
        opening = asyncio.create_task(open_all())
        answers = [await call.read() for _ in range(count + 1)]
        await opening
        assert [answer.canceled for answer in answers] == [False] * count + [True]
        assert "at most" in answers[-1].cancel_reason
        await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"crowd"))
        assert {(await call.read()).watch_id for _ in range(count)} == set(range(count))
    call.cancel()


async def test_watchers_that_never_read_hold_nothing_up_and_little_memory(store: members.Store) -> None:
    before = resident_mb(store)
    async with store.channel() as channel, store.channel() as writer:
        calls = []
        for _ in range(50):
            call = rpc_pb2_grpc.WatchStub(channel).Watch()
            await call.write(rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"unread")))
            assert (await call.read()).created
            calls.append(call)
        async with undisturbed(store):
            for _ in range(30):
                await rpc_pb2_grpc.KVStub(writer).Put(Put(key=b"unread", value=bytes(1_000_000)), timeout=10)
        assert resident_mb(store) - before < 500, "30 MB of history, and not 50 times that"
        for call in calls:
            call.cancel()


# -- connections


async def test_ten_thousand_idle_connections_disturb_nobody(tmp_path: Path, many_files: None) -> None:
    with members.lone(tmp_path) as store, contextlib.ExitStack() as stack:
        await store.ready()
        before = resident_mb(store)
        async with undisturbed(store):
            for _ in range(IDLE):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", store.client), timeout=10))
                connection.sendall(PREFACE)
                if _ % 100 == 0:
                    await asyncio.sleep(0)
        assert resident_mb(store) - before < 400
        async with undisturbed(store):
            await asyncio.sleep(0.5)


async def test_who_says_half_of_hello_is_shown_out(store: members.Store, channel: grpc.aio.Channel) -> None:
    async def slow(said: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", store.client)
        with contextlib.suppress(ConnectionError):
            for place in range(len(said)):
                writer.write(said[place : place + 1])
                await asyncio.sleep(0.2)
            async with asyncio.timeout(30):
                while await reader.read(1000):
                    pass
        writer.close()

    async with undisturbed(store):
        await asyncio.gather(slow(b""), slow(PREFACE[:10]), slow(PREFACE[:-4]))


# -- peers


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[list[members.Store], Authority]]:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("peer", ip="127.0.0.1")
    tls = ["--peer-cert-file", str(cert), "--peer-key-file", str(key), "--peer-trusted-ca-file", str(authority.path)]
    with members.three(tmp_path, *tls, scheme="https") as stores:
        yield stores, authority


def frame(payload: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<I", len(payload) if length is None else length) + payload


async def test_garbage_at_the_peer_port_ends_its_connection_and_nothing_else(
    secured: tuple[list[members.Store], Authority],
) -> None:
    stores, authority = secured
    for store in stores:
        await store.ready()
    target = await members.leader_of(stores)
    port = int(next(flag for flag in target.flags if flag.startswith("--listen-peer-urls")).rpartition(":")[2])
    cert, key = authority.issue("stranger", ip="127.0.0.1")
    trusted = ssl.create_default_context(cafile=str(authority.path))
    trusted.load_cert_chain(cert, key)

    async def ends(said: bytes, context: ssl.SSLContext | None) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            name = "localhost" if context else None
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
            writer.write(said)
            async with asyncio.timeout(30):
                while await reader.read(1 << 16):
                    pass
            writer.close()

    async with undisturbed(target):
        said = (b"\0" * 5000, b"\xff" * 5000, b"GET / HTTP/1.1\r\n\r\n", frame(b"", length=1 << 31), frame(b"\xc1"))
        said += (frame(b"\x81" * 1000), frame(b"\x83\xa8protocol\xa3foo"), frame(b"\x80"))
        silent = [(b"", context) for context in (None, trusted) for _ in range(100)]
        loud = [(each, context) for each in said for context in (None, trusted)]
        await asyncio.gather(*(ends(each, context) for each, context in loud + silent))
    assert [store.process.poll() for store in stores if store.process] == [None] * 3
    assert "traceback" not in target.log.lower()
