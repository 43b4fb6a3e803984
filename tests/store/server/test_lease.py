"""Leases over the wire, on the leader's clock."""

from __future__ import annotations

import asyncio
import time

import grpc.aio
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc


@pytest.fixture
def kv(channel: grpc.aio.Channel) -> rpc_pb2_grpc.KVStub:
    return rpc_pb2_grpc.KVStub(channel)


@pytest.fixture
def leases(channel: grpc.aio.Channel) -> rpc_pb2_grpc.LeaseStub:
    return rpc_pb2_grpc.LeaseStub(channel)


async def attached(kv: rpc_pb2_grpc.KVStub, leases: rpc_pb2_grpc.LeaseStub, key: bytes, ttl: int) -> int:
    granted = await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=ttl))
    assert (granted.TTL, granted.error) == (ttl, "")
    await kv.Put(rpc_pb2.PutRequest(key=key, lease=granted.ID))
    return granted.ID


async def gone(kv: rpc_pb2_grpc.KVStub, key: bytes, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while (await kv.Range(rpc_pb2.RangeRequest(key=key))).count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_lease_that_nobody_keeps_takes_its_keys(
    kv: rpc_pb2_grpc.KVStub, leases: rpc_pb2_grpc.LeaseStub
) -> None:
    lease = await attached(kv, leases, b"l1", 2)
    left = await leases.LeaseTimeToLive(rpc_pb2.LeaseTimeToLiveRequest(ID=lease, keys=True))
    assert (left.grantedTTL, list(left.keys)) == (2, [b"l1"])
    await gone(kv, b"l1", within_s=5)
    assert (await leases.LeaseTimeToLive(rpc_pb2.LeaseTimeToLiveRequest(ID=lease))).TTL == -1
    assert lease not in [each.ID for each in (await leases.LeaseLeases(rpc_pb2.LeaseLeasesRequest())).leases]


async def test_keep_alives_keep_it(kv: rpc_pb2_grpc.KVStub, leases: rpc_pb2_grpc.LeaseStub) -> None:
    lease = await attached(kv, leases, b"l2", 2)
    stream = leases.LeaseKeepAlive()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
        assert (await stream.read()).TTL == 2
        await asyncio.sleep(0.3)
    assert (await kv.Range(rpc_pb2.RangeRequest(key=b"l2"))).count == 1
    await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=12345))
    assert (await stream.read()).TTL == 0
    await stream.done_writing()
    await gone(kv, b"l2", within_s=5)


async def test_revoking_deletes_at_once(kv: rpc_pb2_grpc.KVStub, leases: rpc_pb2_grpc.LeaseStub) -> None:
    lease = await attached(kv, leases, b"l3", 600)
    await leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease))
    assert (await kv.Range(rpc_pb2.RangeRequest(key=b"l3"))).count == 0
    with pytest.raises(grpc.aio.AioRpcError, match="requested lease not found") as caught:
        await leases.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_lease_is_granted_once(leases: rpc_pb2_grpc.LeaseStub) -> None:
    await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(ID=99, TTL=600))
    with pytest.raises(grpc.aio.AioRpcError, match="lease already exists") as caught:
        await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(ID=99, TTL=600))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError, match="too large lease TTL"):
        await leases.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=9_000_000_001))
