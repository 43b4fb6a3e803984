"""A link that carries one way only: whoever cannot hear, or be heard, does not lead for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from robustness.network import Network
from robustness.nodes import Cluster, Node

pytestmark = pytest.mark.root

SERVED_S = 30.0


async def leader_of(cluster: Cluster) -> Node:
    while (leader := await cluster.leader()) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return leader


async def put_through(node: Node) -> None:
    """Until it is answered."""
    while True:
        try:
            await rpc_pb2_grpc.KVStub(node.open()).Put(rpc_pb2.PutRequest(key=b"k"), timeout=1)
            return
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.05)


async def test_a_leader_that_is_deaf_or_mute_is_replaced(tmp_path: Path) -> None:
    with Network(3) as network, Cluster.made(tmp_path, network, flags=[]) as cluster:
        for node in cluster.nodes:
            node.start()
        for deaf in (True, False):
            async with asyncio.timeout(SERVED_S):
                leader = await leader_of(cluster)
                await put_through(leader)
            others = [node for node in cluster.nodes if node is not leader]
            for other in others:
                ends = (other.place, leader.place) if deaf else (leader.place, other.place)
                network.one_way(*ends, cut=True)
            async with asyncio.timeout(SERVED_S):
                await asyncio.gather(*map(put_through, others))
            with pytest.raises(grpc.aio.AioRpcError):
                await rpc_pb2_grpc.KVStub(leader.open()).Range(rpc_pb2.RangeRequest(key=b"k"), timeout=0.5)
            network.heal()
            async with asyncio.timeout(SERVED_S):
                await put_through(leader)
        await cluster.close()
