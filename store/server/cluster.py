"""Cluster: the members that the flags name. Changing them is refused."""

from __future__ import annotations

from raftsman.etcd import rpc_pb2
from raftsman.store import cluster

from .answers import Answers, Context, unary


class Cluster:
    """The list of members; client addresses are known of this one only."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    @unary
    async def MemberList(self, request: rpc_pb2.MemberListRequest, context: Context) -> rpc_pb2.MemberListResponse:
        if request.linearizable:
            await self._answers.replica.up_to_date()
        members = [_message(member) for member in self._answers.cluster.members]
        return rpc_pb2.MemberListResponse(header=self._answers.header(), members=members)


def _message(member: cluster.Member) -> rpc_pb2.Member:
    return rpc_pb2.Member(ID=member.id, name=member.name, peerURLs=member.peer_urls, clientURLs=member.client_urls)
