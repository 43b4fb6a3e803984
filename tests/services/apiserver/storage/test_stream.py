"""The store's batching stream as the API server uses it: once each, through crashes, and without it on a real etcd."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from raftsman import errors
from raftsman.etcd import rpc_pb2
from raftsman.kv import v1 as kv
from raftsman.kv.v1 import batch_pb2_grpc
from raftsman.services.apiserver.storage import store as stores
from raftsman.services.apiserver.storage.store import Store

sys.path.insert(0, str(Path(__file__).parents[3] / "store"))

import etcds
import members

COUNTERS = 8
TIMES = 40


async def increment(client: Store, key: bytes) -> None:
    """Add one to a number, whoever else does so too."""
    while True:
        found = await client.get(key)
        value, revision = (int(found.value), found.mod_revision) if found else (0, 0)
        condition = stores.at_revision(key, revision) if found else stores.absent(key)
        answer = await client.txn([condition], [stores.put(key, b"%d" % (value + 1))])
        if answer.succeeded:
            return


async def patient(client: Store, key: bytes) -> int:
    """How many increments of TIMES are known to have happened; the outcome of the others is not known."""
    known = 0
    for _ in range(TIMES):
        try:
            await increment(client, key)
        except errors.ApiError:
            await asyncio.sleep(0.1)
        else:
            known += 1
    return known


async def test_increments_through_the_loss_of_a_leader_happen_once(tmp_path: Path) -> None:
    with members.three(tmp_path) as found:
        for one in found:
            await one.ready()
        client = Store.connect([f"http://{one.address}" for one in found])
        try:
            callers = [asyncio.create_task(patient(client, b"/counter/%d" % number)) for number in range(COUNTERS)]
            await asyncio.sleep(0.3)
            leader = await members.leader_of(found)
            leader.kill()
            known = await asyncio.gather(*callers)
            for number, count in enumerate(known):
                value = await client.get(b"/counter/%d" % number)
                assert value is not None
                # Sent again in their session, lost answers are found: what was not refused happened exactly once.
                assert count <= int(value.value) <= TIMES
            assert sum(known) > COUNTERS * TIMES / 2
        finally:
            await client.close()


@pytest.mark.etcd
async def test_a_real_etcd_is_served_by_calls_of_their_own(tmp_path: Path) -> None:
    with etcds.lone(tmp_path / "etcd") as etcd:
        client = Store.connect([f"http://{etcd.address}"])
        try:
            await asyncio.gather(*(increment(client, b"/counter") for _ in range(10)))
            found = await client.get(b"/counter")
            assert found is not None
            assert found.value == b"10"
            assert not client._stream.usable
        finally:
            await client.close()


class Silent(batch_pb2_grpc.BatchServicer):
    """Greets and never answers."""

    async def Operate(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        await context.write(kv.OperateResponse(session=1))
        async for _ in request_iterator:
            pass


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    server = grpc.aio.server()
    batch_pb2_grpc.add_BatchServicer_to_server(Silent(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop(0)


async def test_closing_leaves_nobody_waiting(silent: str) -> None:
    client = Store.connect([silent])
    waiting = asyncio.create_task(client.range(rpc_pb2.RangeRequest(key=b"x")))
    await asyncio.sleep(0.2)
    await client.close()
    with pytest.raises(errors.Unavailable):
        await asyncio.wait_for(waiting, 3)


async def test_a_caller_that_gives_up_leaves_the_stream_healthy(tmp_path: Path) -> None:
    with members.lone(tmp_path / "store") as one:
        await one.ready()
        client = Store.connect([f"http://{one.address}"])
        try:
            callers = [asyncio.create_task(client.put(b"/k%d" % number, b"x")) for number in range(200)]
            for caller in callers[::2]:
                caller.cancel()
            done = await asyncio.gather(*callers, return_exceptions=True)
            assert all(isinstance(each, int) for each in done[1::2])
            assert await client.get(b"/k1") is not None
        finally:
            await client.close()
