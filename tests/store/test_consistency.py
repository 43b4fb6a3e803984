"""Digests of the members' states: who is named when they differ, and how it comes to that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import members
import msgspec
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import consistency, errors, mvcc, snapshot
from raftsman.store.commands import Kind
from raftsman.store.raft import events


@pytest.mark.parametrize(
    ("digests", "members", "named"),
    [
        ({1: 7}, 3, set()),
        ({1: 7, 2: 7, 3: 7}, 3, set()),
        ({1: 7, 2: 8}, 3, set()),
        ({1: 7, 2: 8, 3: 8}, 3, {1}),
        ({1: 7, 2: 8, 3: 9}, 3, {1, 2, 3}),
        ({1: 7, 2: 8}, 2, {1, 2}),
        ({1: 7, 2: 7, 3: 8}, 5, set()),
        ({1: 7, 2: 7, 3: 7, 4: 8}, 5, {4}),
        ({1: 7, 2: 7, 3: 8, 4: 8}, 5, set()),
        ({1: 7, 2: 7, 3: 8, 4: 8, 5: 9}, 5, {1, 2, 3, 4, 5}),
        ({1: 7, 9: 8}, 1, {9}),
        ({1: 7, 8: 6, 9: 6}, 3, set()),
        ({1: 7, 2: 7, 8: 6, 9: 6}, 3, {8, 9}),
    ],
)
def test_who_differs_from_the_majority_is_named(digests: dict[int, int], members: int, named: set[int]) -> None:
    assert consistency.strays(digests, voters=set(range(1, members + 1))) == named


class Member:
    """Stands in for a replica of a cluster of three, whose leader is asked directly."""

    def __init__(self, number: int, cluster: list[Member]) -> None:
        self.number = number
        self.cluster = cluster
        self.state = mvcc.State()
        self.role = events.Role("x", number == 1, 1)
        self.answer_call = lambda payload: b"lease"
        self.at_index = lambda index: None
        cluster.append(self)
        self.checks = consistency.Consistency(self, member=number, voters=lambda: {1, 2, 3})  # type: ignore[arg-type]

    async def call_leader(self, payload: bytes) -> bytes:
        leader = next((member for member in self.cluster if member.role.leading), None)
        if leader is None:
            raise errors.no_leader()
        return leader.answer_call(payload)

    async def propose(self, kind: Kind, payload: bytes, **_: object) -> None:
        assert kind is Kind.ALARM
        request = rpc_pb2.AlarmRequest.FromString(payload)
        for member in self.cluster:
            member.state.alarms.activate(request.alarm, request.memberID)

    def put(self, key: bytes, value: bytes) -> None:
        self.state.put(rpc_pb2.PutRequest(key=key, value=value))

    def named(self) -> list[int]:
        return [member for _, member in self.state.alarms.raised(rpc_pb2.CORRUPT)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Member]]:
    monkeypatch.setattr(consistency, "EVERY", 10)
    monkeypatch.setattr(consistency, "SCAN_SMALL_EVERY", 100)
    made: list[Member] = []
    for number in (1, 2, 3):
        Member(number, made)
    yield made
    for member in made:
        member.checks.close()


async def run(cluster: list[Member], *, start: int = 1, count: int = 100) -> None:
    for index in range(start, start + count):
        for member in cluster:
            member.put(b"k%d" % (index % 30), b"%d" % index)
            member.at_index(index)
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)


async def test_members_that_agree_are_left_alone(cluster: list[Member]) -> None:
    await run(cluster, count=300)
    assert [member.named() for member in cluster] == [[], [], []]
    leader = cluster[0].checks
    assert len(leader._reported) <= consistency.KEPT_MAX
    assert all(len(reported) == 3 for reported in leader._reported.values())
    assert any(scan for _, scan in leader._reported)


@pytest.mark.parametrize("stray", [1, 2, 3])
async def test_a_member_that_applied_something_else_is_named_even_if_it_leads(
    cluster: list[Member], stray: int
) -> None:
    await run(cluster, count=20)
    cluster[stray - 1].put(b"k1", b"different")
    await run(cluster, start=21, count=10)
    assert cluster[0].named() == [stray]


@pytest.mark.parametrize("stray", [1, 3])
async def test_a_value_that_changed_in_memory_is_found_by_the_next_scan(cluster: list[Member], stray: int) -> None:
    await run(cluster, count=90)
    flip(cluster[stray - 1].state, b"k9")
    await run(cluster, start=91, count=9)
    assert cluster[0].named() == [], "the digest of the changes does not show it"
    await run(cluster, start=100, count=5)
    assert cluster[0].named() == [stray]


def flip(state: mvcc.State, key: bytes) -> None:
    """What a bad memory does."""
    record = state.index.newest(key)
    assert record is not None
    state.index._newest[key] = msgspec.structs.replace(record, value=b"X" + record.value[1:])


async def test_a_new_leader_finds_what_the_last_one_did_not(cluster: list[Member]) -> None:
    cluster[0].role = events.Role(None, False, 1)
    cluster[2].put(b"k1", b"different")
    await run(cluster, count=40)
    assert cluster[0].named() == []
    cluster[1].role = events.Role("x", True, 2)
    await run(cluster, start=41, count=10)
    assert cluster[0].named() == [3]


async def test_a_member_whose_disk_lies_is_named(tmp_path: Path) -> None:
    """Three processes; one member's snapshot is changed, with all its checksums right, while it is down."""
    with members.three(tmp_path, "--snapshot-count", "50", "--auto-compaction-retention", "0") as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        stray = next(store for store in stores if store is not leader)
        name = (await stray.status()).header.member_id
        async with leader.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            for number in range(120):
                await kv.Put(rpc_pb2.PutRequest(key=b"k%d" % number, value=b"right"))
            async with asyncio.timeout(10):
                while not list((stray.folder / "data" / "snap").glob("*.rms")):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert await asyncio.to_thread(stray.stop) == 0
            tamper(stray.folder / "data" / "snap", key=b"k0")
            stray.start()
            await stray.ready()
            until = asyncio.Event()
            writers = [asyncio.create_task(write(kv, number, until)) for number in range(4)]
            try:
                async with asyncio.timeout(60):
                    while not await named(leader):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
            finally:
                until.set()
                refused = await asyncio.gather(*writers)
        assert await named(leader) == [name]
        assert "etcdserver: corrupt cluster" in refused


def tamper(folder: Path, *, key: bytes) -> None:
    path = snapshot.newest(folder)
    assert path is not None
    head, state = snapshot.load(path)
    records = [msgspec.structs.replace(each, value=b"wrong") if each.key == key else each for each in state.records()]
    snapshot.write(folder, snapshot.Capture(head, state.copy_of_parts(), [records]))


async def write(kv: rpc_pb2_grpc.KVStub, number: int, until: asyncio.Event) -> str:
    """Put until told to stop or refused; what it was refused with."""
    while not until.is_set():
        try:
            await kv.Put(rpc_pb2.PutRequest(key=b"w%d" % number), timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.details() or ""
    return ""


async def named(store: members.Store) -> list[int]:
    async with store.channel() as channel:
        answer = await rpc_pb2_grpc.MaintenanceStub(channel).Alarm(rpc_pb2.AlarmRequest(alarm=rpc_pb2.CORRUPT))
        return [each.memberID for each in answer.alarms]


async def test_other_questions_to_the_leader_are_still_answered(cluster: list[Member]) -> None:
    assert await cluster[1].call_leader(b"\x92\x01\xc3") == b"lease"
