"""Maintenance: the state of this member, and the alarms of all. What needs more than that is refused by name."""

from __future__ import annotations

import asyncio

from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import hash as digests

from .answers import Answers, Context, unary
from .snapshot import Snapshots

ETCD_VERSION = "3.5.16"
"""The API level that is spoken; clients parse it to decide what they may ask."""
CLUSTER_VERSION = "3.5.0"

_Alarm = rpc_pb2.AlarmRequest
_RAISABLE = frozenset({rpc_pb2.NOSPACE, rpc_pb2.CORRUPT})


class Maintenance:
    """Status of this member, alarms of every member."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica
        self.Snapshot = Snapshots(answers, answers.replica.folder).Snapshot

    @unary
    async def Status(self, request: rpc_pb2.StatusRequest, context: Context) -> rpc_pb2.StatusResponse:
        role = self._replica.role
        driver = self._replica.driver
        troubles = [] if role.leader is not None else [errors.no_leader().text]
        return rpc_pb2.StatusResponse(
            header=self._answers.header(),
            version=ETCD_VERSION,
            dbSize=self._replica.state.bytes,
            dbSizeInUse=self._replica.state.bytes,
            leader=int(role.leader, 16) if role.leader is not None else 0,
            isLearner=self._answers.learner,
            raftIndex=driver.last_index,
            raftTerm=role.term,
            raftAppliedIndex=self._replica.applied,
            errors=troubles + [_sentence(alarm) for alarm in self._alarms(rpc_pb2.NONE)],
        )

    @unary
    async def Hash(self, request: rpc_pb2.HashRequest, context: Context) -> rpc_pb2.HashResponse:
        """Of everything that happened: equal on members that applied the same entries."""
        return rpc_pb2.HashResponse(header=self._answers.header(), hash=digests.folded(self._replica.state.hash.value))

    @unary
    async def HashKV(self, request: rpc_pb2.HashKVRequest, context: Context) -> rpc_pb2.HashKVResponse:
        """Of what can be read, up to a revision: equal on members that compacted at the same one."""
        with self._replica.state.view(max(0, request.revision)) as view:
            answer = rpc_pb2.HashKVResponse(
                header=self._answers.header(), compact_revision=view.compacted or -1, hash_revision=view.revision
            )
            for digest in digests.of_records(view):
                answer.hash = digests.folded(digest)
                await asyncio.sleep(0)
        return answer

    @unary
    async def Alarm(self, request: rpc_pb2.AlarmRequest, context: Context) -> rpc_pb2.AlarmResponse:
        if request.action == _Alarm.GET:
            await self._replica.up_to_date()
            return rpc_pb2.AlarmResponse(header=self._answers.header(), alarms=self._alarms(request.alarm))
        if request.action not in (_Alarm.ACTIVATE, _Alarm.DEACTIVATE):
            raise errors.invalid_request(f"unknown alarm action {request.action}")
        if request.action == _Alarm.ACTIVATE and request.alarm not in _RAISABLE:
            raise errors.invalid_request("only NOSPACE and CORRUPT can be raised")
        who = await self._answers.identity.permit_admin(context)
        answer = await self._replica.propose(Kind.ALARM, request.SerializeToString(), who=who)
        assert isinstance(answer, rpc_pb2.AlarmResponse)
        self._answers.complete(answer.header)
        return answer

    def _alarms(self, kind: int) -> list[rpc_pb2.AlarmMember]:
        return [
            rpc_pb2.AlarmMember(memberID=member, alarm=rpc_pb2.AlarmType.ValueType(raised))
            for raised, member in self._replica.state.alarms.raised(kind)
        ]

    @unary
    async def MoveLeader(self, request: rpc_pb2.MoveLeaderRequest, context: Context) -> rpc_pb2.MoveLeaderResponse:
        """Answered when the other leads. Asked of the leader only."""
        replica = self._replica
        if not replica.role.leading:
            raise errors.not_leader()
        target = replica.state.members.get(request.targetID)
        if target is None or target.learner:
            raise errors.bad_transferee()
        if target.id != self._answers.cluster.member:
            await replica.hand_over(f"{target.id:x}")
        return rpc_pb2.MoveLeaderResponse(header=self._answers.header())

    @unary
    async def Defragment(self, request: rpc_pb2.DefragmentRequest, context: Context) -> rpc_pb2.DefragmentResponse:
        """The log and snapshots have nothing to defragment: done."""
        return rpc_pb2.DefragmentResponse(header=self._answers.header())


def _sentence(alarm: rpc_pb2.AlarmMember) -> str:
    return f"memberID:{alarm.memberID} alarm:{rpc_pb2.AlarmType.Name(alarm.alarm)} "
