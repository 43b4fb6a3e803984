"""What a kube-apiserver 1.36 asks of the etcd that it was given, message by message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import grpc.aio
import members
import pytest
import pytest_asyncio
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc

Put, Range, Delete, Txn = rpc_pb2.PutRequest, rpc_pb2.RangeRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest
Compare, Op, Create = rpc_pb2.Compare, rpc_pb2.RequestOp, rpc_pb2.WatchCreateRequest
METADATA = (("hasleader", "true"), ("client-api-version", "3.6"))
PROGRESS_MS = 200
COMPACT_KEY = b"compact_rev_key"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[members.Store]:
    """As kubeadm starts etcd, but for a shorter interval."""
    flags = ("--experimental-watch-progress-notify-interval", f"{PROGRESS_MS}ms", "--snapshot-count", "10000")
    with members.lone(tmp_path_factory.mktemp("backend"), *flags) as started:
        yield started


@pytest_asyncio.fixture
async def channel(backend: members.Store) -> AsyncIterator[grpc.aio.Channel]:
    await backend.ready()
    async with backend.channel() as opened:
        yield opened


@pytest.fixture
def kv(channel: grpc.aio.Channel) -> rpc_pb2_grpc.KVStub:
    return rpc_pb2_grpc.KVStub(channel)


def unchanged(key: bytes, revision: int) -> Compare:
    return Compare(key=key, result=Compare.EQUAL, target=Compare.MOD, mod_revision=revision)


async def create(kv: rpc_pb2_grpc.KVStub, key: bytes, value: bytes, *, lease: int = 0) -> rpc_pb2.TxnResponse:
    put = Op(request_put=Put(key=key, value=value, lease=lease))
    return await kv.Txn(Txn(compare=[unchanged(key, 0)], success=[put]), metadata=METADATA)


async def update(kv: rpc_pb2_grpc.KVStub, key: bytes, value: bytes, revision: int) -> rpc_pb2.TxnResponse:
    put, get = Op(request_put=Put(key=key, value=value)), Op(request_range=Range(key=key))
    return await kv.Txn(Txn(compare=[unchanged(key, revision)], success=[put], failure=[get]), metadata=METADATA)


async def delete(kv: rpc_pb2_grpc.KVStub, key: bytes, revision: int) -> rpc_pb2.TxnResponse:
    gone, get = Op(request_delete_range=Delete(key=key)), Op(request_range=Range(key=key))
    return await kv.Txn(Txn(compare=[unchanged(key, revision)], success=[gone], failure=[get]), metadata=METADATA)


async def test_features_are_found_by_the_version(channel: grpc.aio.Channel) -> None:
    """RequestWatchProgress is used from 3.5.13 on; the size of the database is a metric."""
    await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"/registry/any", value=b"1"))
    status = await rpc_pb2_grpc.MaintenanceStub(channel).Status(rpc_pb2.StatusRequest(), metadata=METADATA)
    assert tuple(map(int, status.version.split("."))) >= (3, 5, 13)
    assert status.dbSize > 0
    assert status.leader


async def test_the_health_key_is_read(kv: rpc_pb2_grpc.KVStub) -> None:
    answer = await kv.Range(Range(key=b"/registry/health"), metadata=METADATA, timeout=2)
    assert (answer.count, len(answer.kvs)) == (0, 0)
    assert answer.header.revision


async def test_an_object_is_created_once_changed_where_unchanged_and_deleted(kv: rpc_pb2_grpc.KVStub) -> None:
    key = b"/registry/pods/default/a"
    made = await create(kv, key, b"1")
    assert made.succeeded
    revision = made.header.revision
    assert made.responses[0].response_put.header.revision == revision
    again = await create(kv, key, b"2")
    assert (again.succeeded, len(again.responses)) == (False, 0)
    changed = await update(kv, key, b"2", revision)
    assert changed.succeeded
    conflict = await update(kv, key, b"3", revision)
    found = conflict.responses[0].response_range.kvs[0]
    assert (conflict.succeeded, found.value, found.mod_revision) == (False, b"2", changed.header.revision)
    kept = await delete(kv, key, revision)
    assert kept.responses[0].response_range.count == 1
    gone = await delete(kv, key, changed.header.revision)
    deleted = gone.responses[0].response_delete_range
    assert deleted.HasField("header"), "an API server takes a delete without a header for a broken etcd"
    assert (deleted.deleted, deleted.header.revision) == (1, gone.header.revision)


async def test_a_list_is_read_in_pages_of_one_revision(kv: rpc_pb2_grpc.KVStub) -> None:
    prefix, end = b"/registry/secrets/", b"/registry/secrets0"
    for number in range(25):
        await create(kv, b"/registry/secrets/%02d" % number, b"v")
    first = await kv.Range(Range(key=prefix, range_end=end, limit=10), metadata=METADATA)
    revision = first.header.revision
    await create(kv, b"/registry/secrets/05a", b"later")
    await delete(kv, b"/registry/secrets/20", (await kv.Range(Range(key=b"/registry/secrets/20"))).kvs[0].mod_revision)
    names, page = [each.key for each in first.kvs], first
    remaining = [first.count - len(first.kvs)]
    while page.more:
        start = page.kvs[-1].key + b"\0"
        request = Range(key=start, range_end=end, limit=10, revision=revision)
        page = await kv.Range(request, metadata=METADATA)
        names += [each.key for each in page.kvs]
        remaining.append(page.count - len(page.kvs))
    assert names == [b"/registry/secrets/%02d" % number for number in range(25)]
    assert remaining == [15, 5, 0]
    counted = await kv.Range(Range(key=prefix, range_end=end, count_only=True), metadata=METADATA)
    assert (counted.count, len(counted.kvs)) == (25, 0)
    keys = await kv.Range(Range(key=prefix, range_end=end, keys_only=True), metadata=METADATA)
    assert (len(keys.kvs), {each.value for each in keys.kvs}) == (25, {b""})


async def test_a_list_larger_than_a_message_of_grpc_arrives(kv: rpc_pb2_grpc.KVStub) -> None:
    await asyncio.gather(*(create(kv, b"/registry/large/%d" % number, bytes(1_000_000)) for number in range(6)))
    found = await kv.Range(Range(key=b"/registry/large/", range_end=b"/registry/large0"), metadata=METADATA)
    assert found.ByteSize() > 6_000_000
    with pytest.raises(grpc.aio.AioRpcError, match="etcdserver: request is too large"):
        await create(kv, b"/registry/large/too", bytes(1_600_000))


async def test_revisions_that_are_gone_or_to_come_are_told_apart(kv: rpc_pb2_grpc.KVStub) -> None:
    made = await create(kv, b"/registry/old", b"1")
    latest = (await update(kv, b"/registry/old", b"2", made.header.revision)).header.revision
    await kv.Compact(rpc_pb2.CompactionRequest(revision=latest), metadata=METADATA)
    for revision, text in ((latest - 1, "has been compacted"), (latest + 1000, "is a future revision")):
        with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
            await kv.Range(Range(key=b"/registry/old", revision=revision), metadata=METADATA)
        assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_one_of_two_compactors_compacts(kv: rpc_pb2_grpc.KVStub) -> None:
    """The key's version is the clock that they share: who is late reads the other's."""

    async def compactor(at: int, revision: int) -> rpc_pb2.TxnResponse:
        compare = Compare(key=COMPACT_KEY, result=Compare.EQUAL, target=Compare.VERSION, version=at)
        put = Op(request_put=Put(key=COMPACT_KEY, value=b"%d" % revision))
        request = Txn(compare=[compare], success=[put], failure=[Op(request_range=Range(key=COMPACT_KEY))])
        return await kv.Txn(request, metadata=METADATA)

    for at in (0, 1):
        answers = [await compactor(at, 7), await compactor(at, 8)]
        assert [answer.succeeded for answer in answers] == [True, False]
        late = answers[1].responses[0].response_range.kvs[0]
        assert (late.version, late.value) == (at + 1, b"7")
        assert answers[1].header.revision == answers[0].header.revision


async def test_events_live_by_leases_that_many_share(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    leases = rpc_pb2_grpc.LeaseStub(channel)
    lease = await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=1), metadata=METADATA)
    assert lease.ID > 0
    assert lease.TTL >= 1
    for number in range(3):
        assert (await create(kv, b"/registry/events/%d" % number, b"e", lease=lease.ID)).succeeded
    events = Range(key=b"/registry/events/", range_end=b"/registry/events0", count_only=True)
    assert (await kv.Range(events)).count == 3
    async with asyncio.timeout(10):
        while (await kv.Range(events)).count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    with pytest.raises(grpc.aio.AioRpcError, match="etcdserver: requested lease not found"):
        await create(kv, b"/registry/events/late", b"e", lease=lease.ID)


class Watching:
    """One stream, as the client library keeps it for all watches of a context."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = rpc_pb2_grpc.WatchStub(channel).Watch(metadata=METADATA)

    async def create(self, key: bytes, range_end: bytes, revision: int) -> rpc_pb2.WatchResponse:
        request = Create(key=key, range_end=range_end, start_revision=revision, prev_kv=True, progress_notify=True)
        await self._call.write(rpc_pb2.WatchRequest(create_request=request))
        return await self.read()

    async def ask_progress(self) -> None:
        await self._call.write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))

    async def read(self) -> rpc_pb2.WatchResponse:
        async with asyncio.timeout(10):
            answer = await self._call.read()
        assert isinstance(answer, rpc_pb2.WatchResponse)
        return answer

    async def events(self, count: int) -> list[kv_pb2.Event]:
        """The next events; progress notifications between them are passed over."""
        seen: list[kv_pb2.Event] = []
        while len(seen) < count:
            seen += (await self.read()).events
        return seen

    def close(self) -> None:
        self._call.cancel()


async def test_a_watch_cache_sees_every_change_with_what_was_before(
    channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub
) -> None:
    key = b"/registry/watched/a"
    first = (await create(kv, key, b"1")).header.revision
    watching = Watching(channel)
    created = await watching.create(b"/registry/watched/", b"/registry/watched0", first + 1)
    assert (created.created, created.canceled, created.watch_id) == (True, False, 0)
    second = (await update(kv, key, b"2", first)).header.revision
    third = (await delete(kv, key, second)).header.revision
    put, gone = await watching.events(2)
    assert (put.type, put.kv.value, put.kv.mod_revision, put.prev_kv.value) == (kv_pb2.Event.PUT, b"2", second, b"1")
    assert (put.kv.create_revision, put.kv.mod_revision) == (first, second)
    assert (gone.type, gone.kv.mod_revision, gone.prev_kv.value) == (kv_pb2.Event.DELETE, third, b"2")
    watching.close()


async def test_a_consistent_read_from_the_cache_waits_for_progress(
    channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub
) -> None:
    """The cache learns the newest revision by a get, asks for progress, and is as new once that arrived."""
    watching = Watching(channel)
    await watching.create(b"/registry/cached/", b"/registry/cached0", 0)
    await create(kv, b"/registry/cached/a", b"1")
    await create(kv, b"/registry/elsewhere", b"1")
    newest = (await kv.Range(Range(key=b"/registry/elsewhere"), metadata=METADATA)).header.revision
    await watching.ask_progress()
    seen, answers = [], []
    while not answers or answers[-1].header.revision < newest:
        answers.append(await watching.read())
        seen += [event.kv.key for event in answers[-1].events]
    assert seen == [b"/registry/cached/a"]
    watching.close()


async def test_a_quiet_watch_tells_how_far_it_is(channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub) -> None:
    watching = Watching(channel)
    created = await watching.create(b"/registry/quiet/", b"/registry/quiet0", 0)
    revision = (await create(kv, b"/registry/noise", b"1")).header.revision
    while (notified := await watching.read()).header.revision < revision:
        assert not notified.events
    assert (notified.watch_id, len(notified.events), notified.canceled) == (created.watch_id, 0, False)
    watching.close()


async def test_a_watch_that_begins_too_early_is_told_where_to_begin(
    channel: grpc.aio.Channel, kv: rpc_pb2_grpc.KVStub
) -> None:
    """An API server makes 'too old resource version' of it, and its clients list again."""
    key = b"/registry/early"
    first = (await create(kv, key, b"1")).header.revision
    for revision in range(first, first + 3):
        await update(kv, key, b"x", revision)
    await kv.Compact(rpc_pb2.CompactionRequest(revision=first + 3), metadata=METADATA)
    watching = Watching(channel)
    assert (await watching.create(key, b"", first)).created
    ended = await watching.read()
    assert (ended.canceled, ended.compact_revision) == (True, first + 3)
    watching.close()


@pytest.mark.parametrize("limit", [10_000, (1 << 31) - 1, (1 << 63) - 1, -1])
async def test_a_limit_may_be_larger_than_what_there_is(kv: rpc_pb2_grpc.KVStub, limit: int) -> None:
    for number in range(3):
        await kv.Put(Put(key=b"/registry/limited/%d" % number))
    revision = (await kv.Range(Range(key=b"/registry/limited/0"))).header.revision
    for at in (0, revision):
        for order in (Range.NONE, Range.DESCEND):
            request = Range(key=b"/registry/limited/", range_end=b"/registry/limited0", limit=limit)
            request.revision, request.sort_order = at, order
            found = await kv.Range(request, metadata=METADATA)
            assert (len(found.kvs), found.count, found.more) == (3, 3, False)
