"""Backups of a member that serves: etcdctl saves and reads them, writers go on, nothing stays behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import etcds
import grpc.aio
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import backup

Put = rpc_pb2.PutRequest


def children(store: members.Store) -> list[str]:
    assert store.process is not None
    pid = store.process.pid
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return found


def open_files(store: members.Store) -> list[str]:
    """Files without a name that the member holds."""
    assert store.process is not None
    found = []
    for descriptor in Path(f"/proc/{store.process.pid}/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    return [name for name in found if "deleted" in name]


def others_files(store: members.Store) -> list[str]:
    """What is neither log nor snapshot (one may be on its way), nor says who the member is."""
    data = store.folder / "data"
    names = [str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()]
    return [name for name in names if not name.startswith(("wal/", "snap/snap-", "member.", "lock"))]


async def fill(channel: grpc.aio.Channel, prefix: bytes, count: int, size: int) -> int:
    kv = rpc_pb2_grpc.KVStub(channel)
    answers = await asyncio.gather(*(kv.Put(Put(key=prefix + b"%d" % n, value=bytes(size))) for n in range(count)))
    return max(answer.header.revision for answer in answers)


async def received(channel: grpc.aio.Channel) -> list[rpc_pb2.SnapshotResponse]:
    stream = rpc_pb2_grpc.MaintenanceStub(channel).Snapshot(rpc_pb2.SnapshotRequest())
    return [response async for response in stream]


async def until_gone(store: members.Store) -> None:
    deadline = time.monotonic() + 10
    while left := [*children(store), *open_files(store)]:
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)


@pytest.mark.etcdctl
async def test_etcdctl_saves_a_backup(store: members.Store, channel: grpc.aio.Channel, tmp_path: Path) -> None:
    revision = await fill(channel, b"save", 300, 3000)
    path = tmp_path / "saved"
    saving = await asyncio.to_thread(etcds.ctl, store.address, "snapshot", "save", str(path))
    assert "Snapshot saved" in saving
    status = await asyncio.to_thread(etcds.ctl, "", "snapshot", "status", "-w", "table", str(path))
    assert f" {revision} |" in status
    state = backup.read(path)
    assert state.revision == revision
    assert state.range(rpc_pb2.RangeRequest(key=b"save", range_end=b"savf")).count == 300


async def test_pieces_count_down_and_their_hash_comes_last(channel: grpc.aio.Channel) -> None:
    await fill(channel, b"pieces", 300, 3000)
    *pieces, last = await received(channel)
    total = sum(len(piece.blob) for piece in pieces)
    left = total
    assert len(pieces) > 2
    for piece in pieces:
        left -= len(piece.blob)
        assert piece.remaining_bytes == left
    assert last.blob == hashlib.sha256(b"".join(piece.blob for piece in pieces)).digest()
    assert last.remaining_bytes == 0


async def test_a_backup_is_one_revision_while_writers_go_on(channel: grpc.aio.Channel, tmp_path: Path) -> None:
    """Every transaction writes both keys: no backup holds one without the other, nor less than was answered before."""
    kv = rpc_pb2_grpc.KVStub(channel)
    await fill(channel, b"load", 500, 5000)
    slowest = 0.0
    stop = False

    async def write() -> None:
        nonlocal slowest
        count = 0
        while not stop:
            count += 1
            puts = [rpc_pb2.RequestOp(request_put=Put(key=key, value=b"%d" % count)) for key in (b"one/a", b"one/b")]
            began = time.monotonic()
            await kv.Txn(rpc_pb2.TxnRequest(success=puts))
            slowest = max(slowest, time.monotonic() - began)

    writer = asyncio.create_task(write())
    try:
        for _ in range(3):
            before = (await kv.Range(rpc_pb2.RangeRequest(key=b"one/a"))).header.revision
            path = tmp_path / "backup"
            path.write_bytes(b"".join(piece.blob for piece in await received(channel)))
            state = backup.read(path)
            assert state.revision >= before
            found = state.range(rpc_pb2.RangeRequest(key=b"one/", range_end=b"one0")).kvs
            assert len(found) in (0, 2)
            assert len({(kv.value, kv.mod_revision) for kv in found}) <= 1
    finally:
        stop = True
        await writer
    assert 0 < slowest < 5, "writers were held up"


async def test_nothing_stays_behind(store: members.Store, channel: grpc.aio.Channel) -> None:
    """After a whole stream, one that the client cancelled, and one that it never read."""
    await fill(channel, b"behind", 400, 20_000)
    await received(channel)
    await until_gone(store)
    for pieces in (0, 1, 3):
        stream = rpc_pb2_grpc.MaintenanceStub(channel).Snapshot(rpc_pb2.SnapshotRequest())
        for _ in range(pieces):
            assert (await stream.read()).blob
        stream.cancel()
        await until_gone(store)
    assert not others_files(store)


async def test_so_many_at_once_and_no_more(store: members.Store, channel: grpc.aio.Channel) -> None:
    await fill(channel, b"many", 400, 20_000)
    stub = rpc_pb2_grpc.MaintenanceStub(channel)
    streams = [stub.Snapshot(rpc_pb2.SnapshotRequest()) for _ in range(2)]
    for stream in streams:
        assert (await stream.read()).blob
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await received(channel)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for stream in streams:
        stream.cancel()
    await until_gone(store)
    assert await received(channel)


async def test_a_disk_without_room_is_an_error_and_no_half_backup(
    store: members.Store, channel: grpc.aio.Channel
) -> None:
    """The process that writes may not make a file as large as the backup."""
    import resource

    await fill(channel, b"full", 300, 20_000)
    assert store.process is not None
    limit = resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (3 << 20, limit[1]))
    try:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await received(channel)
    finally:
        resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, limit)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "backup could not be made" in str(failed.value.details())
    assert "backup failed" in store.log
    await until_gone(store)


async def test_a_killed_member_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    with members.lone(tmp_path / "killed") as store:
        await store.ready()
        async with store.channel() as channel:
            await fill(channel, b"killed", 400, 20_000)
            stream = rpc_pb2_grpc.MaintenanceStub(channel).Snapshot(rpc_pb2.SnapshotRequest())
            assert (await stream.read()).blob
            (exporting,) = children(store)
            store.kill()
        deadline = time.monotonic() + 10
        while _runs(exporting):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert not others_files(store)


def _runs(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
