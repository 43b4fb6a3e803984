"""What changes of the members do to the state, and what etcd answers to them."""

from __future__ import annotations

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store.commands import Kind
from raftsman.store.mvcc import State, members

_ANSWERS: dict[members.Action, type[Message]] = {
    members.Action.ADD: rpc_pb2.MemberAddResponse,
    members.Action.REMOVE: rpc_pb2.MemberRemoveResponse,
    members.Action.PROMOTE: rpc_pb2.MemberPromoteResponse,
    members.Action.UPDATE: rpc_pb2.MemberUpdateResponse,
}


def _change(state: State, payload: bytes) -> Message:
    """Answers with the members as they are now; who founds a cluster or publishes itself reads nothing of it."""
    change = members.decode(payload)
    state.members.apply(change)
    answer = _ANSWERS.get(change.action, rpc_pb2.MemberListResponse)()
    answer.header.revision = state.revision  # type: ignore[attr-defined]
    answer.members.extend(map(message, state.members.all()))  # type: ignore[attr-defined]
    if isinstance(answer, rpc_pb2.MemberAddResponse):
        added = state.members.get(change.members[0].id)
        assert added is not None
        answer.member.CopyFrom(message(added))
    return answer


def message(member: members.Member) -> rpc_pb2.Member:
    """A member as clients see it."""
    return rpc_pb2.Member(
        ID=member.id,
        name=member.name,
        peerURLs=member.peer_urls,
        clientURLs=member.client_urls,
        isLearner=member.learner,
    )


BY_KIND = {Kind.CLUSTER_MEMBER: _change, Kind.CLUSTER_PUBLISH: _change}
