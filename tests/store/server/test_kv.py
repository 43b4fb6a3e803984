"""KV over the wire: etcd's errors with etcd's texts, and what a server adds to the state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Code = grpc.StatusCode
Range, Put, Delete, Txn = rpc_pb2.RangeRequest, rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest


@pytest.fixture
def kv(channel: grpc.aio.Channel) -> rpc_pb2_grpc.KVStub:
    return rpc_pb2_grpc.KVStub(channel)


async def test_headers_name_the_member_and_the_revision(kv: rpc_pb2_grpc.KVStub) -> None:
    first = await kv.Put(Put(key=b"header", value=b"1"))
    second = await kv.Put(Put(key=b"header", value=b"2"))
    assert second.header.revision == first.header.revision + 1
    assert second.header.cluster_id
    assert second.header.member_id
    assert second.header.raft_term
    read = await kv.Range(Range(key=b"header"))
    assert (read.header.revision, read.kvs[0].version) == (second.header.revision, 2)
    assert (await kv.Range(Range(key=b"header", serializable=True))).count == 1


def puts(*keys: bytes) -> list[rpc_pb2.RequestOp]:
    return [rpc_pb2.RequestOp(request_put=Put(key=key)) for key in keys]


REFUSALS: list[tuple[str, Callable[[], Any], grpc.StatusCode, str]] = [
    ("Range", Range, Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    ("Put", Put, Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    ("DeleteRange", Delete, Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    ("Range", lambda: Range(key=b"a", revision=1 << 40), Code.OUT_OF_RANGE, "required revision is a future revision"),
    ("Range", lambda: Range(key=b"a", sort_order=7), Code.INVALID_ARGUMENT, "etcdserver: invalid sort option"),
    ("Put", lambda: Put(key=b"a", lease=77), Code.NOT_FOUND, "etcdserver: requested lease not found"),
    ("Put", lambda: Put(key=b"nokey", ignore_value=True), Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    (
        "Put",
        lambda: Put(key=b"a", value=b"1", ignore_value=True),
        Code.INVALID_ARGUMENT,
        "etcdserver: value is provided",
    ),
    ("Put", lambda: Put(key=b"a", lease=1, ignore_lease=True), Code.INVALID_ARGUMENT, "etcdserver: lease is provided"),
    ("Put", lambda: Put(key=b"a", value=b"x" * (2 << 20)), Code.INVALID_ARGUMENT, "etcdserver: request is too large"),
    ("Txn", lambda: Txn(success=puts(b"a", b"a")), Code.INVALID_ARGUMENT, "duplicate key given in txn request"),
    (
        "Txn",
        lambda: Txn(success=[*puts(b"b"), rpc_pb2.RequestOp(request_delete_range=Delete(key=b"a", range_end=b"c"))]),
        Code.INVALID_ARGUMENT,
        "duplicate key given in txn request",
    ),
    ("Txn", lambda: Txn(success=puts(*(b"%d" % n for n in range(129)))), Code.INVALID_ARGUMENT, "too many operations"),
    ("Txn", lambda: Txn(compare=[rpc_pb2.Compare()]), Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    ("Txn", lambda: Txn(failure=[rpc_pb2.RequestOp()]), Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    ("Compact", lambda: rpc_pb2.CompactionRequest(revision=1 << 40), Code.OUT_OF_RANGE, "is a future revision"),
    ("Compact", lambda: rpc_pb2.CompactionRequest(), Code.OUT_OF_RANGE, "required revision has been compacted"),
]


@pytest.mark.parametrize(("method", "request_of", "code", "text"), REFUSALS)
async def test_refusals_have_etcds_codes_and_texts(
    kv: rpc_pb2_grpc.KVStub, method: str, request_of: Callable[[], Any], code: grpc.StatusCode, text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(kv, method)(request_of())
    assert caught.value.code() is code
    assert text in (caught.value.details() or "")


async def test_a_failed_compare_reads_instead_of_writing(kv: rpc_pb2_grpc.KVStub) -> None:
    created = await kv.Put(Put(key=b"cas", value=b"1"))
    compare = rpc_pb2.Compare(key=b"cas", target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=1)
    read = rpc_pb2.RequestOp(request_range=Range(key=b"cas"))
    answer = await kv.Txn(Txn(compare=[compare], success=puts(b"cas"), failure=[read]))
    assert not answer.succeeded
    assert answer.responses[0].response_range.kvs[0].mod_revision == created.header.revision
    assert answer.header.revision == created.header.revision


async def test_many_writers_get_a_revision_each(kv: rpc_pb2_grpc.KVStub) -> None:
    answers = await asyncio.gather(*(kv.Put(Put(key=b"many%d" % n, value=b"%d" % n)) for n in range(200)))
    assert len({answer.header.revision for answer in answers}) == 200
    for number in (0, 77, 199):
        found = await kv.Range(Range(key=b"many%d" % number))
        assert (found.kvs[0].value, found.kvs[0].mod_revision) == (b"%d" % number, answers[number].header.revision)


async def test_only_one_of_many_creators_wins(kv: rpc_pb2_grpc.KVStub) -> None:
    absent = rpc_pb2.Compare(key=b"lock", target=rpc_pb2.Compare.CREATE, result=rpc_pb2.Compare.EQUAL)
    answers = await asyncio.gather(*(kv.Txn(Txn(compare=[absent], success=puts(b"lock"))) for _ in range(50)))
    assert [answer.succeeded for answer in answers].count(True) == 1


async def test_large_lists_arrive_whole(kv: rpc_pb2_grpc.KVStub) -> None:
    await asyncio.gather(*(kv.Put(Put(key=b"large%02d" % n, value=bytes(900_000))) for n in range(12)))
    assert len((await kv.Range(Range(key=b"large", range_end=b"larga~"[:4] + b"h"))).kvs) == 12


async def test_what_is_not_served_is_refused_by_name(channel: grpc.aio.Channel) -> None:
    for call, text in (
        (rpc_pb2_grpc.MaintenanceStub(channel).Downgrade(rpc_pb2.DowngradeRequest()), "Maintenance.Downgrade"),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
            await call
        assert caught.value.code() is Code.UNIMPLEMENTED


async def test_status_and_members(channel: grpc.aio.Channel) -> None:
    status = await rpc_pb2_grpc.MaintenanceStub(channel).Status(rpc_pb2.StatusRequest())
    assert status.leader == status.header.member_id
    assert status.raftAppliedIndex <= status.raftIndex
    listed = await rpc_pb2_grpc.ClusterStub(channel).MemberList(rpc_pb2.MemberListRequest(linearizable=True))
    assert [member.ID for member in listed.members] == [status.leader]


async def test_a_long_list_comes_whole(channel: grpc.aio.Channel) -> None:
    """It is made in slices."""
    kv = rpc_pb2_grpc.KVStub(channel)
    wanted = [b"long/%04d" % number for number in range(1_000)]
    await asyncio.gather(*(kv.Put(rpc_pb2.PutRequest(key=key, value=key)) for key in wanted))
    request = rpc_pb2.RangeRequest(key=b"long/", range_end=b"long0", limit=900)
    answer = await kv.Range(request)
    assert [each.key for each in answer.kvs] == [each.value for each in answer.kvs] == wanted[:900]
    assert (answer.count, answer.more, answer.header.revision > 1_000) == (1_000, True, True)
    request.keys_only = True
    request.sort_order = rpc_pb2.RangeRequest.DESCEND
    assert [(each.key, each.value) for each in (await kv.Range(request)).kvs] == [(key, b"") for key in wanted[:99:-1]]


async def test_a_physical_compaction_is_answered_when_it_is_done(channel: grpc.aio.Channel) -> None:
    kv = rpc_pb2_grpc.KVStub(channel)
    for _ in range(3):
        last = (await kv.Put(rpc_pb2.PutRequest(key=b"physical"))).header.revision
    await kv.Compact(rpc_pb2.CompactionRequest(revision=last, physical=True))
    with pytest.raises(grpc.aio.AioRpcError, match="compacted"):
        await kv.Range(rpc_pb2.RangeRequest(key=b"physical", revision=last - 1))
