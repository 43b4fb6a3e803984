"""A disk that is really full: a small tmpfs that the test mounts, fills and empties again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

pytestmark = pytest.mark.root

Put, Delete, Range = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.RangeRequest
Code = grpc.StatusCode
PIECE = 1 << 18


class SmallDisk:
    """A mounted tmpfs of its own, and the file that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(PIECE))

    def empty(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "store-test", str(folder)], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def is_full(error: grpc.aio.AioRpcError) -> bool:
    """Anything else fails the test."""
    if error.code() is not Code.RESOURCE_EXHAUSTED or "space exceeded" not in str(error.details()):
        raise error
    return True


async def put_until_refused(channel: grpc.aio.Channel, answered: dict[bytes, int], *, tag: bytes) -> None:
    kv = rpc_pb2_grpc.KVStub(channel)
    for number in range(400):
        key = b"%b%d" % (tag, number)
        try:
            answered[key] = (await kv.Put(Put(key=key, value=os.urandom(200_000)), timeout=20)).header.revision
        except grpc.aio.AioRpcError as error:
            if is_full(error):
                return
    raise AssertionError("the disk was never full")


async def alarms(channel: grpc.aio.Channel) -> list[int]:
    answer = await rpc_pb2_grpc.MaintenanceStub(channel).Alarm(rpc_pb2.AlarmRequest(), timeout=20)
    return [each.memberID for each in answer.alarms if each.alarm == rpc_pb2.NOSPACE]


async def raised(channel: grpc.aio.Channel) -> list[int]:
    """The same, as soon as there is one: who refuses has put it on its way."""
    async with asyncio.timeout(30):
        while not (found := await alarms(channel)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


async def disarm(channel: grpc.aio.Channel) -> None:
    for member in await alarms(channel):
        request = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.DEACTIVATE, memberID=member, alarm=rpc_pb2.NOSPACE)
        await rpc_pb2_grpc.MaintenanceStub(channel).Alarm(request, timeout=20)


async def until_it_takes(channel: grpc.aio.Channel, key: bytes) -> int:
    """Put as an operator would once there is room: disarm, try, and again while the disk was not looked at yet."""
    kv = rpc_pb2_grpc.KVStub(channel)
    async with asyncio.timeout(30):
        while True:
            try:
                await disarm(channel)
                return (await kv.Put(Put(key=key), timeout=20)).header.revision
            except grpc.aio.AioRpcError as error:
                is_full(error)
            await asyncio.sleep(0.2)


async def content(channel: grpc.aio.Channel, *, serializable: bool = False) -> dict[bytes, int]:
    request = Range(key=b"\0", range_end=b"\0", keys_only=True, serializable=serializable)
    return {kv.key: kv.mod_revision for kv in (await rpc_pb2_grpc.KVStub(channel).Range(request, timeout=20)).kvs}


async def test_a_full_disk_refuses_what_grows_and_lets_an_operator_make_room(disk: SmallDisk) -> None:
    answered: dict[bytes, int] = {}
    with members.lone(disk.folder / "store") as store:
        await store.ready()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            await kv.Put(Put(key=b"first"))
            disk.fill()
            await put_until_refused(channel, answered, tag=b"k")
            assert len(answered) > 10, "what was allocated ahead is used"
            assert len(await raised(channel)) == 1
            deleted = await kv.DeleteRange(Delete(key=b"k1", range_end=b"k2"), timeout=20)
            for key in [key for key in answered if key.startswith(b"k1")]:
                del answered[key]
            await kv.Compact(rpc_pb2.CompactionRequest(revision=deleted.header.revision), timeout=20)
            await disarm(channel)
            with pytest.raises(grpc.aio.AioRpcError, match="space exceeded"):
                await kv.Put(Put(key=b"still full"), timeout=20)
            disk.empty()
            answered[b"again"] = await until_it_takes(channel, b"again")
        store.kill()
        store.start()
        await store.ready()
        async with store.channel() as channel:
            assert (await content(channel)) == {**answered, b"first": 2}


async def test_when_even_the_last_room_is_gone_the_member_lives_and_answers_nothing_it_cannot_keep(
    disk: SmallDisk,
) -> None:
    answered: dict[bytes, int] = {}
    with members.lone(disk.folder / "store") as store:
        await store.ready()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            disk.fill()
            await put_until_refused(channel, answered, tag=b"k")
            for _ in range(100):
                try:
                    await kv.DeleteRange(Delete(key=bytes(1_000_000)), timeout=20)
                except grpc.aio.AioRpcError as error:
                    if error.details() != "etcdserver: request timed out" and is_full(error):
                        break
            else:
                raise AssertionError("the room never ended")
            assert store.process is not None
            assert store.process.poll() is None
            assert await content(channel) == answered
            disk.empty()
            answered[b"again"] = await until_it_takes(channel, b"again")
            disk.fill()  # and dying in the middle of it is no worse
            store.kill()
            disk.empty()
            store.start()
            await store.ready()
        async with store.channel() as channel:
            assert await content(channel) == answered


async def test_a_member_whose_disk_is_full_is_named_and_catches_up_when_it_is_not(
    tmp_path: Path, disk: SmallDisk
) -> None:
    answered: dict[bytes, int] = {}
    with members.three(tmp_path) as stores:
        for store in stores:
            await store.ready()
        leader = await members.leader_of(stores)
        poor = next(store for store in stores if store is not leader)
        poor.kill()
        shutil.move(poor.folder, disk.folder / "store")
        poor.folder = disk.folder / "store"
        poor.start()
        await poor.ready()
        name = (await poor.status()).header.member_id
        async with leader.channel() as channel:
            disk.fill()
            await put_until_refused(channel, answered, tag=b"k")
            assert await raised(channel) == [name]
            await disarm(channel)  # the operator insists: a majority has room
            await put_what_a_majority_takes(channel, answered)
            assert poor.process is not None
            assert poor.process.poll() is None
            disk.empty()
            answered[b"again"] = await until_it_takes(channel, b"again")
        async with poor.channel() as channel:
            assert await content(channel) == answered


async def put_what_a_majority_takes(channel: grpc.aio.Channel, answered: dict[bytes, int]) -> None:
    """More than the full disk holds; its member raises the alarm again now and then."""
    kv = rpc_pb2_grpc.KVStub(channel)
    async with asyncio.timeout(60):
        for number in range(150):
            key = b"m%d" % number
            while key not in answered:
                try:
                    put = await kv.Put(Put(key=key, value=os.urandom(200_000)), timeout=20)
                    answered[key] = put.header.revision
                except grpc.aio.AioRpcError as error:
                    if is_full(error):
                        await disarm(channel)
