"""Changes of membership beside Debian's etcd: a learner comes and goes, and everything that is refused on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import etcds
import grpc.aio
import members
import pytest
from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

pytestmark = pytest.mark.etcd
LEARNER = "http://127.0.0.1:1"
UNKNOWN = 77
SECOND_S = 1.1
"""etcd makes ids of addresses and seconds: what is added again within one has the same."""
INTENDED = {
    8: "etcd 3.4 lets a member be moved to an address that is none",
    15: "etcd 3.4 forgets that a learner is one when its address changes",
    16: "the same",
}
"""By the place in the story."""


class Side:
    """One cluster. Members are told apart by how they came: their numbers are each cluster's own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc_pb2_grpc.ClusterStub(channel)
        self.ids: dict[str, int] = {"unknown": UNKNOWN}

    async def call(self, method: str, request: Message) -> tuple[str, object]:
        """Code and text, or OK and the members by what is not their own."""
        try:
            answer = await getattr(self._stub, method)(request, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()
        if method == "MemberAdd":
            self.ids["learner"] = answer.member.ID
        return "OK", sorted((len(member.peerURLs), member.isLearner, bool(member.name)) for member in answer.members)

    async def begin(self) -> None:
        (own,) = (await self._stub.MemberList(rpc_pb2.MemberListRequest())).members
        self.ids["own"] = own.ID

    async def add(self, *urls: str, learner: bool = True) -> tuple[str, object]:
        return await self.call("MemberAdd", rpc_pb2.MemberAddRequest(peerURLs=urls, isLearner=learner))

    async def promote(self, who: str) -> tuple[str, object]:
        return await self.call("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=self.ids[who]))

    async def update(self, who: str, *urls: str) -> tuple[str, object]:
        return await self.call("MemberUpdate", rpc_pb2.MemberUpdateRequest(ID=self.ids[who], peerURLs=urls))

    async def remove(self, who: str) -> tuple[str, object]:
        return await self.call("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=self.ids[who]))

    async def list(self) -> tuple[str, object]:
        return await self.call("MemberList", rpc_pb2.MemberListRequest())


async def told(side: Side) -> list[tuple[str, object]]:
    """The story, and what was answered at every step."""
    await side.begin()
    answers = [
        await side.list(),
        await side.add("nonsense"),
        await side.add("http://127.0.0.1"),
        await side.add("ftp://127.0.0.1:1"),
        await side.add("http://127.0.0.1:1/path"),
        await side.promote("unknown"),
        await side.promote("own"),
        await side.update("unknown", LEARNER),
        await side.update("own", "nonsense"),
        await side.remove("unknown"),
        await side.add(LEARNER),
        await side.list(),
    ]
    await asyncio.sleep(SECOND_S)
    answers += [
        await side.add(LEARNER),
        await side.add("http://127.0.0.1:2"),
        await side.promote("learner"),
        await side.update("learner", "http://127.0.0.1:3", "http://127.0.0.1:4"),
        await side.list(),
        await side.remove("learner"),
        await side.remove("learner"),
        await side.promote("learner"),
        await side.list(),
    ]
    return answers


async def test_members_come_and_go_alike(tmp_path: Path) -> None:
    with etcds.lone(tmp_path / "etcd") as etcd, members.lone(tmp_path / "ours") as ours:
        await ours.ready()
        async with etcd.channel() as to_etcd, ours.channel() as to_ours:
            await etcds.ready(to_etcd)
            expected, found = await told(Side(to_etcd)), await told(Side(to_ours))
    differing = [(place, *both) for place, both in enumerate(zip(expected, found, strict=True)) if both[0] != both[1]]
    assert {place for place, *_ in differing} == INTENDED.keys(), "\n".join(map(str, differing))
