"""Watches over the wire: ordered, unique, gap-free, whole revisions, or an honest end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import members
import pytest
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc

NO_LEADER = grpc.StatusCode.UNAVAILABLE
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
        assert (ended.cancel_reason, ended.header.revision) == ("", 0)
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


async def test_ids_are_not_given_twice(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as watch:
        assert (await watch.create(key=b"id", watch_id=1)).watch_id == 1
        assert (await watch.create(key=b"id")).watch_id == 0
        await watch.ask(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=0))
        assert (await watch.next()).canceled
        await watch.ask(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=77))
        assert (await watch.create(key=b"id")).watch_id == 2


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"key": b"b", "range_end": b"a"}, "mvcc: watcher range is empty"),
        ({"range_end": b"\0" * 2, "key": b"a"}, "mvcc: watcher range is empty"),
        ({"key": b"a", "start_revision": -1}, "etcdserver: mvcc: required revision has been compacted"),
    ],
)
async def test_what_cannot_be_watched_is_refused_under_no_id(
    channel: grpc.aio.Channel, request_: dict[str, object], reason: str
) -> None:
    async with watching(channel) as watch:
        answer = await watch.create(**request_)
        assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
        assert answer.cancel_reason == reason
        assert answer.header.revision


async def test_a_future_revision_is_waited_for(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    now = (await kv.Put(Put(key=b"future"))).header.revision
    async with watching(channel) as watch:
        await watch.create(key=b"future", start_revision=now + 2)
        await kv.Put(Put(key=b"future", value=b"too early"))
        await kv.Put(Put(key=b"future", value=b"now"))
        assert [event.kv.value for event in await watch.events(1)] == [b"now"]


async def test_a_lagging_watch_of_something_rare_is_served(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    """It looks at more revisions than a look takes, and at none that concerns it until the last."""
    start = (await kv.Put(Put(key=b"rare"))).header.revision
    await asyncio.gather(*(kv.Put(Put(key=b"often")) for _ in range(6_000)))
    await kv.Put(Put(key=b"rare"))
    async with watching(channel) as watch, watching(channel) as other:
        for each in (watch, other):
            await each.create(key=b"rare", start_revision=start + 1)
        assert len(await watch.events(1)) == len(await other.events(1)) == 1


async def test_many_watch_the_same_and_see_the_same(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    async with watching(channel) as plain, watching(channel) as before, watching(channel) as filtered:
        await plain.create(key=b"same/", range_end=b"same0")
        await plain.create(key=b"same/", range_end=b"same0", watch_id=9)
        await before.create(key=b"same/", range_end=b"same0", prev_kv=True)
        await filtered.create(key=b"same/", range_end=b"same0", filters=[Create.NOPUT])
        for value in (b"1", b"2"):
            await kv.Put(Put(key=b"same/a", value=value))
            first, second = await plain.next(), await plain.next()
            assert {first.watch_id, second.watch_id} == {0, 9}
            assert first.events == second.events
            assert not first.events[0].HasField("prev_kv")
        seen = await before.events(2)
        assert [(event.kv.value, event.prev_kv.value) for event in seen] == [(b"1", b""), (b"2", b"1")]
        await kv.DeleteRange(Delete(key=b"same/a"))
        deleted = (await filtered.events(1))[0]
        assert (deleted.type, deleted.kv.key, deleted.kv.value) == (kv_pb2.Event.DELETE, b"same/a", b"")


async def test_a_watch_without_events_is_told_of_progress(tmp_path: Path) -> None:
    with members.lone(tmp_path, "--experimental-watch-progress-notify-interval", "1s") as store:
        await store.ready()
        async with store.channel() as opened, watching(opened) as watch:
            kv = rpc_pb2_grpc.KVStub(opened)
            await watch.create(key=b"busy")
            await watch.create(key=b"quiet", progress_notify=True)
            last = (await kv.Put(Put(key=b"busy"))).header.revision
            assert len((await watch.next()).events) == 1
            told = await watch.next()
            assert (told.watch_id, len(told.events), told.canceled) == (1, 0, False)
            assert told.header.revision == last


async def test_whoever_requires_a_leader_is_told_that_there_is_none(tmp_path: Path) -> None:
    with members.three(tmp_path, "--election-timeout", "500", "--heartbeat-interval", "100") as stores:
        for store in stores:
            await store.ready()
        last = stores[0]
        async with last.channel() as opened:
            demanding = rpc_pb2_grpc.WatchStub(opened).Watch(metadata=(("hasleader", "true"),))
            patient = Watching(rpc_pb2_grpc.WatchStub(opened).Watch())
            assert (await Watching(demanding).create(key=b"a")).created
            assert (await patient.create(key=b"a")).created
            for store in stores[1:]:
                store.kill()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await Watching(demanding).next()
            assert (ended.value.code(), ended.value.details()) == (NO_LEADER, "etcdserver: no leader")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                request = rpc_pb2.RangeRequest(key=b"a", serializable=True)
                await rpc_pb2_grpc.KVStub(opened).Range(request, metadata=(("hasleader", "true"),))
            assert (refused.value.code(), refused.value.details()) == (NO_LEADER, "etcdserver: no leader")
            await rpc_pb2_grpc.KVStub(opened).Range(request)
            for store in stores[1:]:
                store.start()
            for store in stores:
                await store.ready()
            await rpc_pb2_grpc.KVStub(opened).Put(Put(key=b"a"))
            assert len(await patient.events(1)) == 1


async def test_a_watcher_that_never_reads_takes_no_memory(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        async with store.channel() as opened, watching(opened) as stuck:
            kv = rpc_pb2_grpc.KVStub(opened)

            async def write() -> int:
                for number in range(120):
                    last = (await kv.Put(Put(key=b"big", value=bytes(1_000_000)))).header.revision
                    if number % 10 == 9:
                        await kv.Compact(rpc_pb2.CompactionRequest(revision=last))
                return resident(store)

            before = await write()
            await stuck.create(key=b"big")
            for _ in range(20):
                await stuck.ask(create_request=Create(key=b"big"))
            assert await write() - before < 50 << 20
            while not (answer := await stuck.next()).canceled:
                assert answer.created or answer.events
            assert answer.compact_revision


def resident(store: members.Store) -> int:
    """Bytes of memory that a member's process has."""
    assert store.process is not None
    return int(Path(f"/proc/{store.process.pid}/statm").read_text().split()[1]) * 4096


async def test_a_stream_whose_client_says_no_more_ends_even_in_the_middle_of_an_answer(
    channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub
) -> None:
    revision = 0
    for number in range(50):
        answer = await kv.Put(Put(key=b"half-closed/%d" % number, value=bytes(100_000)))
        revision = revision or answer.header.revision
    create = Create(key=b"half-closed/", range_end=b"half-closed0", start_revision=revision)
    for _ in range(40):
        call = rpc_pb2_grpc.WatchStub(channel).Watch()
        await call.write(rpc_pb2.WatchRequest(create_request=create))
        await call.done_writing()
        async with asyncio.timeout(10):
            while await call.read() is not grpc.aio.EOF:
                pass
            assert await call.code() is grpc.StatusCode.OK
