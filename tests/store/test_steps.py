"""kill -9 at every step of what touches more than one file: a member comes back with all that was answered.

Real processes, each of which kills itself before or behind the step; see `stepped`. What a power loss leaves of the
same steps is the simulation's to try.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc.aio
import members
import pytest
import stepped
from members import Store
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

VALUE = 1 << 10
DIES_S = 60.0
READY_S = 30.0
SNAPSHOT_COUNT = 40
WHEN = ("before", "after")

LOG_ROLL = (
    "create spare", "allocate spare", "write_at spare", "sync spare", "rename wal-*.log", "sync_folder wal",
)  # fmt: skip
COMPACTION = (
    "create snap-*.tmp", "sync snap-*.tmp", "rename snap-*.rms", "sync_folder snap", "unlink snap-*.rms",
    "write_at wal-*.log", "sync_data wal-*.log", "unlink wal-*.log",
)  # fmt: skip
INSTALL = (
    "create snap-*.receiving", "write_at snap-*.receiving", "sync snap-*.receiving", "rename snap-*.rms",
    "sync_folder snap", "sync_data wal-*.log",
)  # fmt: skip
MEMBERSHIP_SYNCS = (1, 2, 3, 4)


def program(step: str) -> list[str]:
    return [sys.executable, str(Path(stepped.__file__)), step]


async def write(store: Store, answered: dict[bytes, int], *, tag: str, until: Callable[[], bool]) -> None:
    """Puts, one after the other, until it is so or the member is gone."""
    async with store.channel() as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        number = 0
        with contextlib.suppress(grpc.aio.AioRpcError):
            while not until():
                key = b"%s/%d" % (tag.encode(), number)
                answer = await kv.Put(rpc_pb2.PutRequest(key=key, value=os.urandom(VALUE)), timeout=20)
                answered[key] = answer.header.revision
                number += 1


async def content(store: Store) -> dict[bytes, int]:
    async with store.channel() as channel:
        request = rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True)
        answer = await rpc_pb2_grpc.KVStub(channel).Range(request, timeout=20)
        return {kv.key: kv.mod_revision for kv in answer.kvs}


async def died(store: Store) -> None:
    """Wait until it is dead, by the step and nothing else."""
    process = store.process
    assert process is not None
    async with asyncio.timeout(DIES_S):
        while (code := process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert code == -signal.SIGKILL, store.log


async def dies_and_comes_back(store: Store, step: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """It dies at the step while something happens, and starts again."""
    store.command = program(step)
    store.start()
    task = asyncio.ensure_future(meanwhile())
    try:
        await died(store)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    store.command = program(stepped.NONE)
    store.start()
    await store.ready()


@pytest.mark.parametrize("steps", [LOG_ROLL, COMPACTION], ids=["log roll", "compaction"])
async def test_a_member_that_dies_at_a_step_has_everything_that_was_answered(
    tmp_path: Path, steps: tuple[str, ...]
) -> None:
    answered: dict[bytes, int] = {}
    with members.lone(tmp_path / "a", f"--snapshot-count={SNAPSHOT_COUNT}", start=False) as store:
        for step in [f"{step} {when} {count}" for step in steps for when in WHEN for count in (1, 2)]:

            async def load(tag: str = step) -> None:
                await store.listening()
                await write(store, answered, tag=tag, until=lambda: False)

            await dies_and_comes_back(store, step, load)
            found = await content(store)
            assert answered.items() <= found.items(), step
            answered.update(found)  # what was on its way may have happened
            assert store.stop() == 0, store.log


async def test_a_member_that_dies_while_it_takes_a_snapshot_takes_it_again(tmp_path: Path) -> None:
    answered: dict[bytes, int] = {}
    with members.three(tmp_path, f"--snapshot-count={SNAPSHOT_COUNT}", start=False) as stores:
        for store in stores:
            store.command = program(stepped.NONE)
            store.start()
        for store in stores:
            await store.ready()
        for step in [f"{step} {when} 1" for step in INSTALL for when in WHEN]:
            leader = await members.leader_of(stores)
            behind = next(store for store in stores if store is not leader)
            behind.kill()
            await compacted_away(leader, answered, tag=step)

            async def nothing() -> None:
                """The leader has what it takes."""

            await dies_and_comes_back(behind, step, nothing)
            assert answered.items() <= (await content(behind)).items(), step
        await same_hashes(stores)


async def compacted_away(leader: Store, answered: dict[bytes, int], *, tag: str) -> None:
    """Write until the leader's log no longer holds what a member that is away lacks."""
    before = leader.log.count("snapshot written")
    async with asyncio.timeout(DIES_S):
        await write(leader, answered, tag=tag, until=lambda: leader.log.count("snapshot written") >= before + 2)


async def test_a_member_that_dies_in_a_change_of_the_members_knows_them_again(tmp_path: Path) -> None:
    with members.three(tmp_path, start=False) as stores:
        for store in stores:
            store.command = program(stepped.NONE)
            store.start()
        for store in stores:
            await store.ready()
        for number in MEMBERSHIP_SYNCS:
            for when in WHEN:
                leader = await members.leader_of(stores)
                changed = stores[0] if number % 2 else leader  # who leads, and who follows
                leaders = [store for store in stores if store is not changed]
                changed.kill()

                async def change(alive: list[Store] = leaders, tag: int = number) -> None:
                    while True:
                        await add_and_remove(await members.leader_of(alive), port=20_000 + tag)

                await dies_and_comes_back(changed, f"sync_data wal-*.log {when} {number + 2}", change)
                await tidied(await members.leader_of(stores))
                assert [await voters(store) for store in stores] == [{"a", "b", "c"}] * 3
        await same_hashes(stores)


async def add_and_remove(leader: Store, *, port: int) -> None:
    async with leader.channel() as channel:
        cluster = rpc_pb2_grpc.ClusterStub(channel)
        with contextlib.suppress(grpc.aio.AioRpcError):
            request = rpc_pb2.MemberAddRequest(peerURLs=[f"http://127.0.0.1:{port}"], isLearner=True)
            added = await cluster.MemberAdd(request, timeout=20)
            await cluster.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=added.member.ID), timeout=20)


async def tidied(leader: Store) -> None:
    """Without the learner that a change which was cut short may have left."""
    async with leader.channel() as channel:
        cluster = rpc_pb2_grpc.ClusterStub(channel)
        listed = await cluster.MemberList(rpc_pb2.MemberListRequest(linearizable=True), timeout=20)
        for member in listed.members:
            if member.isLearner:
                await cluster.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=member.ID), timeout=20)


async def voters(store: Store) -> set[str]:
    async with store.channel() as channel:
        request = rpc_pb2.MemberListRequest(linearizable=True)
        listed = await rpc_pb2_grpc.ClusterStub(channel).MemberList(request, timeout=20)
        return {member.name for member in listed.members}


async def same_hashes(stores: list[Store]) -> None:
    """All members hold the same, once they have caught up."""
    async with asyncio.timeout(READY_S):
        while len({await digest(store) for store in stores}) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def digest(store: Store) -> tuple[int, int]:
    async with store.channel() as channel:
        answer = await rpc_pb2_grpc.MaintenanceStub(channel).HashKV(rpc_pb2.HashKVRequest(), timeout=20)
        return answer.header.revision, answer.hash


def test_the_steps_are_of_calls_that_the_disk_has() -> None:
    for step in LOG_ROLL + COMPACTION + INSTALL:
        assert hasattr(stepped.Real, step.split()[0])
