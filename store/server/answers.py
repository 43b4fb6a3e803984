"""What every RPC shares: the header of an answer, and errors as gRPC statuses. Reads the replica."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc.aio
from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.cluster import Cluster
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import NOBODY
from raftsman.store.replica import Replica

from .identity import Identity

REQUIRE_LEADER = "hasleader"
"""Metadata by which clients ask for a leader."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])
_Answer = TypeVar("_Answer", bound=Message)
_KNOWN_BETTER = (errors.user_empty().text, errors.old_auth_revision().text)


class Answers:
    """Completes answers with what only this member knows."""

    def __init__(self, replica: Replica, cluster: Cluster, identity: Identity) -> None:
        self.replica = replica
        self.cluster = cluster
        self.identity = identity
        self.handled: Counter[tuple[str, str, str]] = Counter()
        """Unary calls by service, method and code."""

    async def write(self, kind: Kind, request: Message, context: Context, answer_type: type[_Answer]) -> _Answer:
        """Have the log take a request of whoever calls; nobody gets nothing into it while users are told apart.

        A caller whom this member knew less about than the log does is asked once more: it was refused, not done.
        """
        payload = request.SerializeToString()
        who = await self.identity.permit_user(context)
        try:
            answer = await self.replica.propose(kind, payload, who=who)
        except errors.StoreError as error:
            known = NOBODY if error.text not in _KNOWN_BETTER else await self.identity.permit_user(context)
            if known in (NOBODY, who):
                raise
            answer = await self.replica.propose(kind, payload, who=known)
        assert isinstance(answer, answer_type)
        self.complete(answer.header)  # type: ignore[attr-defined]
        return answer

    def complete(self, header: rpc_pb2.ResponseHeader) -> None:
        """Fill in a header; a revision that is there already (a write's own) stays."""
        header.cluster_id = self.cluster.id
        header.member_id = self.cluster.member
        header.raft_term = self.replica.role.term
        if not header.revision:
            header.revision = self.replica.state.revision

    @property
    def learner(self) -> bool:
        """Whether this member has no vote: it answers only what may be stale."""
        member = self.replica.state.members.get(self.cluster.member)
        return member is not None and member.learner

    def header(self) -> rpc_pb2.ResponseHeader:
        header = rpc_pb2.ResponseHeader()
        self.complete(header)
        return header


def requires_leader(context: Context) -> bool:
    """Whether a client would rather have an error than an answer from a member that knows of no leader."""
    return any(key == REQUIRE_LEADER and value == "true" for key, value in context.invocation_metadata() or ())


def _answered_by_learners(request: Message) -> bool:
    if isinstance(request, rpc_pb2.RangeRequest):
        return request.serializable
    return isinstance(request, rpc_pb2.StatusRequest)


def unary(method: _Method) -> _Method:
    """A unary RPC of a servicer that has `_answers`: StoreError becomes its status, and all are counted."""
    service, name = method.__qualname__.split(".")[-2:]

    @functools.wraps(method)
    async def wrapped(self: Any, request: Any, context: Context) -> Any:
        try:
            if self._answers.replica.role.leader is None and requires_leader(context):
                raise errors.no_leader()
            if self._answers.learner and not _answered_by_learners(request):
                raise errors.not_for_learner()
            answer = await method(self, request, context)
        except errors.StoreError as error:
            self._answers.handled[service, name, error.code.name] += 1
            await context.abort(error.code, error.text)
        self._answers.handled[service, name, "OK"] += 1
        return answer

    return wrapped  # type: ignore[return-value]
