"""Three members as processes: they agree, elect, catch up, and lose nothing that was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import members
import pytest
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest
EVERYTHING = Range(key=b"\0", range_end=b"\0")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[members.Store]]:
    with members.three(tmp_path, "--snapshot-count", "200") as started:
        yield started


async def content(store: members.Store) -> dict[bytes, tuple[bytes, int]]:
    async with store.channel() as channel:
        answer = await rpc_pb2_grpc.KVStub(channel).Range(EVERYTHING, timeout=10)
        return {kv.key: (kv.value, kv.mod_revision) for kv in answer.kvs}


async def write(store: members.Store, tag: str, *, until: asyncio.Event, answered: dict[bytes, int]) -> None:
    """Put new keys through one member until told to stop; note what was answered."""
    count = 0
    async with store.channel() as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        while not until.is_set():
            count += 1
            key = f"{tag}{count}".encode()
            try:
                answered[key] = (await kv.Put(Put(key=key, value=key), timeout=10)).header.revision
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                await asyncio.sleep(0.05)


async def agree(stores: list[members.Store], answered: dict[bytes, int]) -> None:
    """Every member has everything that was answered, and all have the same."""
    contents = [await content(store) for store in stores]
    assert contents[0] == contents[1] == contents[2]
    assert {key: contents[0].get(key, (b"", 0))[1] for key in answered} == answered


async def test_every_member_answers_for_all(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    for number, store in enumerate(stores):
        async with store.channel() as channel:
            put = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k", value=b"%d" % number))
        for other in stores:
            assert (await content(other))[b"k"] == (b"%d" % number, put.header.revision)


async def test_leases_are_kept_through_any_member(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    leader = await members.leader_of(stores)
    follower = next(store for store in stores if store is not leader)
    async with follower.channel() as channel:
        leases, kv = rpc_pb2_grpc.LeaseStub(channel), rpc_pb2_grpc.KVStub(channel)
        lease = (await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=2))).ID
        await kv.Put(Put(key=b"leased", lease=lease))
        stream = leases.LeaseKeepAlive()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
            assert (await stream.read()).TTL == 2
            await asyncio.sleep(0.3)
        assert (await kv.Range(Range(key=b"leased"))).count == 1
        async with asyncio.timeout(6):
            while (await kv.Range(Range(key=b"leased"))).count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_killing_leaders_loses_nothing_that_was_answered(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    answered: dict[bytes, int] = {}
    until = asyncio.Event()
    writers = [asyncio.create_task(write(store, store.folder.name, until=until, answered=answered)) for store in stores]
    for _ in range(2):
        await asyncio.sleep(0.3)
        leader = await members.leader_of(stores)
        before = len(answered)
        leader.kill()
        others = [store for store in stores if store is not leader]
        await members.leader_of(others)
        async with asyncio.timeout(15):
            while len(answered) < before + 50:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        leader.start()
        await leader.ready()
    until.set()
    await asyncio.gather(*writers)
    await agree(stores, answered)


async def test_killing_all_at_once_loses_nothing_that_was_answered(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    answered: dict[bytes, int] = {}
    until = asyncio.Event()
    writers = [asyncio.create_task(write(store, store.folder.name, until=until, answered=answered)) for store in stores]
    await asyncio.sleep(1)
    for store in stores:
        store.kill()
    until.set()
    await asyncio.gather(*writers)
    for store in stores:
        store.start()
    for store in stores:
        await store.ready()
    assert len(answered) > 100
    await agree(stores, answered)


async def test_a_stopped_leader_never_answers_with_the_past(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    leader = await members.leader_of(stores)
    async with leader.channel() as channel:
        await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k", value=b"old"))
    leader.pause()
    others = [store for store in stores if store is not leader]
    successor = await members.leader_of(others)
    async with successor.channel() as channel:
        await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k", value=b"new"), timeout=10)
    leader.resume()
    async with leader.channel() as channel:
        answer = await rpc_pb2_grpc.KVStub(channel).Range(Range(key=b"k"), timeout=15, wait_for_ready=True)
    assert answer.kvs[0].value == b"new"


async def test_without_a_majority_nothing_is_answered(stores: list[members.Store]) -> None:
    for store in stores:
        await store.ready()
    leader = await members.leader_of(stores)
    for store in stores:
        if store is not leader:
            store.kill()
    async with leader.channel() as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        for call in (kv.Put(Put(key=b"k"), timeout=15), kv.Range(Range(key=b"k"), timeout=15)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await kv.Range(Range(key=b"k", serializable=True))).count == 0


async def test_a_member_that_missed_more_than_the_log_holds_catches_up(tmp_path: Path) -> None:
    with members.three(tmp_path, "--snapshot-count", "100") as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        lost = next(store for store in stores if store is not leader)
        lost.kill()
        async with leader.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            for _ in range(30):
                await asyncio.gather(*(kv.Put(Put(key=b"k%d" % n, value=bytes(300_000))) for n in range(4)))
        lost.start()
        await lost.ready()
        assert await content(lost) == await content(leader)
        assert "snapshot installed" in lost.log
        async with lost.channel() as channel:
            await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"after"))
        assert b"after" in await content(leader)
        lost.kill()
        lost.start()
        await lost.ready()
        assert await content(lost) == await content(leader)


async def test_members_talk_over_mutual_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("peer", ip="127.0.0.1")
    tls = ["--peer-cert-file", str(cert), "--peer-key-file", str(key)]
    tls += ["--peer-trusted-ca-file", str(authority.path), "--peer-client-cert-auth"]
    with members.three(tmp_path, *tls, scheme="https") as stores:
        for store in stores:
            await store.ready()
        async with stores[0].channel() as channel:
            await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k", value=b"secret"))
        assert (await content(stores[2]))[b"k"][0] == b"secret"
