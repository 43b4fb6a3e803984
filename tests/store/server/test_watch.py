"""Watches over the wire: ordered, unique, gap-free, whole revisions, or an honest end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc

Put, Delete, Create = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.WatchCreateRequest


@pytest.fixture
def kv(channel: grpc.aio.Channel) -> rpc_pb2_grpc.KVStub:
    return rpc_pb2_grpc.KVStub(channel)


class Watching:
    """One stream, read with a time limit."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def ask(self, **request: Any) -> None:
        await self._call.write(rpc_pb2.WatchRequest(**request))

    async def create(self, **request: Any) -> rpc_pb2.WatchResponse:
        await self.ask(create_request=Create(**request))
        return await self.next()

    async def next(self) -> rpc_pb2.WatchResponse:
        async with asyncio.timeout(10):
            return await self._call.read()

    async def events(self, count: int) -> list[kv_pb2.Event]:
        found: list[kv_pb2.Event] = []
        while len(found) < count:
            found += (await self.next()).events
        return found


@asynccontextmanager
async def watching(channel: grpc.aio.Channel) -> AsyncIterator[Watching]:
    call = rpc_pb2_grpc.WatchStub(channel).Watch()
    try:
        yield Watching(call)
    finally:
        call.cancel()


async def test_changes_of_a_prefix_arrive_in_order(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        created = await watch.create(key=b"w1/", range_end=b"w10", prev_kv=True)
        assert (created.created, created.canceled) == (True, False)
        await kv.Put(Put(key=b"w1/a", value=b"1"))
        await kv.Put(Put(key=b"w2/a", value=b"other"))
        await kv.Put(Put(key=b"w1/a", value=b"2"))
        await kv.DeleteRange(Delete(key=b"w1/a"))
        put, changed, deleted = await watch.events(3)
        assert (put.type, put.kv.value, put.HasField("prev_kv")) == (kv_pb2.Event.PUT, b"1", False)
        assert (changed.kv.version, changed.prev_kv.value) == (2, b"1")
        assert (deleted.type, deleted.kv.key, deleted.prev_kv.value) == (kv_pb2.Event.DELETE, b"w1/a", b"2")
        assert deleted.kv.mod_revision == changed.kv.mod_revision + 1


async def test_a_watch_from_the_past_catches_up_and_goes_on(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    first = await kv.Put(Put(key=b"past", value=b"0"))
    for number in range(1, 5):
        await kv.Put(Put(key=b"past", value=b"%d" % number))
    async with watching(channel) as watch:
        await watch.create(key=b"past", start_revision=first.header.revision + 1)
        assert [event.kv.value for event in await watch.events(4)] == [b"1", b"2", b"3", b"4"]
        await kv.Put(Put(key=b"past", value=b"5"))
        assert [event.kv.value for event in await watch.events(1)] == [b"5"]


async def test_a_watch_may_begin_in_the_future(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    now = (await kv.Put(Put(key=b"future"))).header.revision
    async with watching(channel) as watch:
        await watch.create(key=b"future", start_revision=now + 2)
        await kv.Put(Put(key=b"future", value=b"early"))
        await kv.Put(Put(key=b"future", value=b"in time"))
        assert [event.kv.value for event in await watch.events(1)] == [b"in time"]


async def test_filters(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        await watch.create(key=b"filter", filters=[Create.NOPUT])
        await watch.create(key=b"filter", filters=[Create.NODELETE])
        await kv.Put(Put(key=b"filter"))
        await kv.DeleteRange(Delete(key=b"filter"))
        answers = [await watch.next(), await watch.next()]
        assert {answer.watch_id: [event.type for event in answer.events] for answer in answers} == {
            0: [kv_pb2.Event.DELETE],
            1: [kv_pb2.Event.PUT],
        }


async def test_a_transaction_is_never_split(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        await watch.create(key=b"atom/", range_end=b"atom0")
        puts = [rpc_pb2.RequestOp(request_put=Put(key=b"atom/%d" % n)) for n in range(100)]
        for _ in range(12):
            await kv.Txn(rpc_pb2.TxnRequest(success=puts))
        seen = 0
        last = 0
        while seen < 1200:
            answer = await watch.next()
            revisions = [event.kv.mod_revision for event in answer.events]
            assert revisions[0] > last
            assert all(revisions.count(revision) == 100 for revision in set(revisions))
            last = revisions[-1]
            seen += len(revisions)
            assert answer.header.revision >= last


async def test_a_burst_arrives_whole_in_batches(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        await watch.create(key=b"burst", range_end=b"bursu")
        await asyncio.gather(*(kv.Put(Put(key=b"burst%d" % (n % 7), value=b"%d" % n)) for n in range(1500)))
        events: list[kv_pb2.Event] = []
        messages = 0
        while len(events) < 1500:
            events += (await watch.next()).events
            messages += 1
        revisions = [event.kv.mod_revision for event in events]
        assert revisions == list(range(revisions[0], revisions[0] + 1500))
        assert messages < 1500


async def test_cancelling_ends_one_watch_of_many(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        first = (await watch.create(key=b"cancel")).watch_id
        second = (await watch.create(key=b"cancel", watch_id=40)).watch_id
        assert (first, second) == (0, 40)
        duplicate = await watch.create(key=b"cancel", watch_id=40)
        assert duplicate.canceled
        assert "duplicate watch ID" in duplicate.cancel_reason
        await watch.ask(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=first))
        gone = await watch.next()
        assert (gone.watch_id, gone.canceled) == (first, True)
        await kv.Put(Put(key=b"cancel"))
        assert (await watch.next()).watch_id == second


async def test_progress_covers_everything_sent_before(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        await watch.create(key=b"progress", start_revision=1)
        await kv.Put(Put(key=b"progress", value=b"1"))
        other = (await kv.Put(Put(key=b"elsewhere"))).header.revision
        await watch.ask(progress_request=rpc_pb2.WatchProgressRequest())
        answers = [await watch.next()]
        while answers[-1].events:
            answers.append(await watch.next())
        assert (answers[-1].watch_id, answers[-1].header.revision) == (-1, other)
        assert sum(len(answer.events) for answer in answers) == 1


async def test_a_compacted_start_is_refused_with_the_revision(
    channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub
) -> None:
    for _ in range(5):
        last = (await kv.Put(Put(key=b"compacted"))).header.revision
    await kv.Compact(rpc_pb2.CompactionRequest(revision=last - 1))
    async with watching(channel) as watch:
        assert (await watch.create(key=b"compacted", start_revision=last - 3)).created
        ended = await watch.next()
        assert (ended.canceled, ended.compact_revision) == (True, last - 1)
        assert "required revision has been compacted" in ended.cancel_reason
        await watch.create(key=b"compacted", start_revision=last - 1)
        assert [event.kv.mod_revision for event in await watch.events(2)] == [last - 1, last]


async def test_fragments_split_what_is_large(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    first = (await kv.Put(Put(key=b"frag", value=b"0"))).header.revision
    for _ in range(4):
        await kv.Put(Put(key=b"frag", value=bytes(900_000)))
    async with watching(channel) as watch:
        await watch.create(key=b"frag", start_revision=first, fragment=True)
        answers = [await watch.next()]
        while sum(len(answer.events) for answer in answers) < 5:
            answers.append(await watch.next())
        assert any(answer.fragment for answer in answers)
        assert not answers[-1].fragment
        assert all(answer.ByteSize() < 2 << 20 for answer in answers)


async def test_a_slow_reader_costs_nobody_else(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as slow, watching(channel) as quick:
        await slow.create(key=b"slow", range_end=b"slox")
        await quick.create(key=b"slow", range_end=b"slox")
        for number in range(30):
            await kv.Put(Put(key=b"slow%d" % number, value=bytes(300_000)))
        assert len(await quick.events(30)) == 30
        assert len(await slow.events(30)) == 30


async def test_many_streams_come_and_go(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    for _ in range(30):
        async with watching(channel) as watch:
            await watch.create(key=b"come", range_end=b"comf")
    await kv.Put(Put(key=b"come"))
