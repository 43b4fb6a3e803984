"""A replica and its Raft thread in this process, with a disk that can be held up."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from members import alone
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, pending, replica
from raftsman.store.commands import Kind
from raftsman.store.raft.driver import Driver
from raftsman.store.raft.member import Settings
from raftsman.store.replica import Replica
from raftsman.store.wal import disk as wal_disk


class Disk:
    """Lets syncs through, or holds them up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.free.set()
        self.held = threading.Event()
        real = os.fdatasync

        def fdatasync(file: int) -> None:
            if not self.free.is_set():
                self.held.set()
                assert self.free.wait(10)
            real(file)

        monkeypatch.setattr(wal_disk.os, "fdatasync", fdatasync)

    def hold(self) -> None:
        self.held.clear()
        self.free.clear()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest_asyncio.fixture
async def served(tmp_path: Path, disk: Disk) -> AsyncIterator[Replica]:
    made = Replica(tmp_path, member_number=1, cluster="c", snapshot_count=1000)
    made.answer_call = lambda payload: payload
    settings = Settings(1, "c", "i", [], None, tmp_path / "snap", beginning=alone(1))
    driver = Driver(settings, made.load(), made.on_event)
    made.attach(driver)
    await driver.start()
    await made.up_to_date()
    try:
        yield made
    finally:
        disk.free.set()
        await made.stop()
        await driver.stop()


def put(to: Replica, key: bytes) -> asyncio.Task[object]:
    payload = rpc_pb2.PutRequest(key=key).SerializeToString()
    return asyncio.create_task(to.propose(Kind.PUT, payload))  # type: ignore[arg-type]


def keys(of: Replica) -> int:
    return of.state.range(rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)).count


async def test_nothing_is_answered_or_seen_before_it_is_on_disk(served: Replica, disk: Disk) -> None:
    await put(served, b"a")
    disk.hold()
    waiting = put(served, b"b")
    assert await asyncio.to_thread(disk.held.wait, 5)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await served.up_to_date()
    assert keys(served) == 1, "reads go on while the disk is slow, and do not see what is not on it"
    disk.free.set()
    await waiting
    assert keys(served) == 2


async def test_what_waits_shares_an_entry_and_a_sync(served: Replica, disk: Disk) -> None:
    disk.hold()
    first = put(served, b"first")
    assert await asyncio.to_thread(disk.held.wait, 5)
    waiting = [put(served, b"%d" % number) for number in range(500)]
    await asyncio.sleep(0.05)
    before, entries = served.driver.syncs, served.driver.last_index
    disk.free.set()
    await asyncio.gather(first, *waiting)
    assert served.driver.syncs - before <= 4
    assert served.driver.last_index - entries <= 2
    assert keys(served) == 501


async def test_too_many_requests_are_refused_not_queued(
    served: Replica, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "PENDING_MAX", 3)
    disk.hold()
    waiting = [put(served, b"%d" % number) for number in range(3)]
    await asyncio.sleep(0.01)
    with pytest.raises(errors.StoreError, match="too many requests"):
        await put(served, b"one more")
    disk.free.set()
    await asyncio.gather(*waiting)


async def test_a_slow_disk_is_a_time_out_and_the_write_may_still_happen(
    served: Replica, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served._pending, "_seconds", 0.1)
    disk.hold()
    with pytest.raises(errors.StoreError, match="request timed out"):
        await put(served, b"late")
    disk.free.set()
    monkeypatch.setattr(served._pending, "_seconds", 5.0)
    await put(served, b"next")
    assert keys(served) == 2


async def test_a_caller_that_gives_up_disturbs_nobody(served: Replica, disk: Disk) -> None:
    disk.hold()
    waiting = put(served, b"a")
    await asyncio.sleep(0.01)
    waiting.cancel()
    disk.free.set()
    await put(served, b"b")
    assert keys(served) == 2
    assert served.pending == 0


async def test_stopping_answers_those_who_wait(served: Replica, disk: Disk) -> None:
    disk.hold()
    waiting = put(served, b"a")
    await asyncio.sleep(0.01)
    await served.stop()
    with pytest.raises(errors.StoreError, match="server stopped"):
        await waiting


async def test_a_command_that_cannot_be_applied_stops_the_process(
    served: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[int] = []
    monkeypatch.setattr(replica.os, "_exit", stopped.append)
    monkeypatch.setattr(served.state, "put_plain", lambda *request: 1 // 0)
    waiting = put(served, b"a")
    async with asyncio.timeout(5):
        while not stopped:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert stopped == [70]
    waiting.cancel()


async def test_a_disk_that_takes_no_snapshot_is_tried_again_while_the_log_goes_on(
    served: Replica, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os.fsync
    full = True

    def fsync(file: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(wal_disk.os, "fsync", fsync)
    monkeypatch.setattr(replica, "SNAPSHOT_RETRY_S", 0.0)
    monkeypatch.setattr(served, "_snapshot_count", 2)
    for number in range(4):
        await put(served, b"%d" % number)
        await asyncio.sleep(0.01)
    assert served.snapshot_index == 0
    assert not list((tmp_path / "snap").iterdir())
    full = False
    await put(served, b"more")
    assert served._snapshotting is not None
    await asyncio.wait_for(served._snapshotting, 5)
    assert served.snapshot_index > 1
    assert keys(served) == 5


async def test_what_was_compacted_is_given_back_while_others_are_served(served: Replica, disk: Disk) -> None:
    for _ in range(5):
        await asyncio.gather(*(put(served, b"%d" % number) for number in range(600)))
    request = rpc_pb2.CompactionRequest(revision=served.state.revision)
    await served.propose(Kind.COMPACT, request.SerializeToString())
    assert keys(served) == 600
    await served.swept()
    assert not served.state.sweep()
    assert len(list(served.state.records())) == 600


async def test_what_a_leader_decided_takes_no_effect_in_another_term(served: Replica) -> None:
    """Found by scripts/sim: a deposed leader's revocation of a lease reached its successor, which had renewed it."""
    payload = rpc_pb2.PutRequest(key=b"a").SerializeToString()
    with pytest.raises(errors.StoreError, match="previous leader"):
        await served.propose(Kind.PUT, payload, term=served.role.term + 1)
    assert keys(served) == 0
    await served.propose(Kind.PUT, payload, term=served.role.term)
    assert keys(served) == 1
