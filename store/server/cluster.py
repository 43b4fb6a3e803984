"""Cluster: the members, and changes of them, one at a time, through the log."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import urlsplit

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store import apply_members, cluster, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.members import Action, Change, Member

from .answers import Answers, Context, unary

_Answer = TypeVar("_Answer", bound=Message)


class Cluster:
    """Members by their ids; only those with the role root change them (identity.guard asks)."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica

    @unary
    async def MemberList(self, request: rpc_pb2.MemberListRequest, context: Context) -> rpc_pb2.MemberListResponse:
        if request.linearizable:
            await self._replica.up_to_date()
        members = map(apply_members.message, self._replica.state.members.all())
        return rpc_pb2.MemberListResponse(header=self._answers.header(), members=members)

    @unary
    async def MemberAdd(self, request: rpc_pb2.MemberAddRequest, context: Context) -> rpc_pb2.MemberAddResponse:
        urls = _checked(request.peerURLs)
        number = cluster.new_member(f"{self._answers.cluster.id:x}", urls, time.time_ns())
        added = Member(number, peer_urls=urls, learner=request.isLearner)
        return await self._change(Action.ADD, added, context, rpc_pb2.MemberAddResponse)

    @unary
    async def MemberRemove(
        self, request: rpc_pb2.MemberRemoveRequest, context: Context
    ) -> rpc_pb2.MemberRemoveResponse:
        return await self._change(Action.REMOVE, Member(request.ID), context, rpc_pb2.MemberRemoveResponse)

    @unary
    async def MemberUpdate(
        self, request: rpc_pb2.MemberUpdateRequest, context: Context
    ) -> rpc_pb2.MemberUpdateResponse:
        moved = Member(request.ID, peer_urls=_checked(request.peerURLs))
        return await self._change(Action.UPDATE, moved, context, rpc_pb2.MemberUpdateResponse)

    @unary
    async def MemberPromote(
        self, request: rpc_pb2.MemberPromoteRequest, context: Context
    ) -> rpc_pb2.MemberPromoteResponse:
        return await self._change(Action.PROMOTE, Member(request.ID), context, rpc_pb2.MemberPromoteResponse)

    async def _change(self, action: Action, member: Member, context: Context, answer_type: type[_Answer]) -> _Answer:
        who = await self._answers.identity.permit_admin(context)
        answer = await self._replica.change_members(Kind.CLUSTER_MEMBER, Change(action, (member,)), who=who)
        assert isinstance(answer, answer_type)
        self._answers.complete(answer.header)  # type: ignore[attr-defined]
        return answer


def _checked(urls: Iterable[str]) -> tuple[str, ...]:
    """Peer URLs, in the order in which they are tried. Raises bad_member_urls."""
    given = tuple(urls)
    for url in given:
        try:
            split = urlsplit(url)
            whole = split.scheme in ("http", "https") and bool(split.hostname) and split.port is not None
        except ValueError:
            whole = False
        if not whole or split.path or split.query:
            raise errors.bad_member_urls()
    if not given or len(set(given)) != len(given):
        raise errors.bad_member_urls()
    return given
