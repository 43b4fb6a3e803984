"""Maintenance: the state of this member. What needs more than that is refused by name."""

from __future__ import annotations

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from .answers import Answers, Context, unary

ETCD_VERSION = "3.5.16"
"""The API level that is spoken; clients parse it to decide what they may ask."""


class Maintenance:
    """Status, and an empty list of alarms."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica

    @unary
    async def Status(self, request: rpc_pb2.StatusRequest, context: Context) -> rpc_pb2.StatusResponse:
        role = self._replica.role
        leader = self._answers.cluster.by_address(role.leader)
        driver = self._replica.driver
        return rpc_pb2.StatusResponse(
            header=self._answers.header(),
            version=ETCD_VERSION,
            dbSize=driver.log_bytes,
            dbSizeInUse=driver.log_bytes,
            leader=leader.id if leader else 0,
            raftIndex=driver.last_index,
            raftTerm=role.term,
            raftAppliedIndex=self._replica.applied,
            errors=[] if leader else [errors.no_leader().text],
        )

    @unary
    async def Alarm(self, request: rpc_pb2.AlarmRequest, context: Context) -> rpc_pb2.AlarmResponse:
        if request.action == rpc_pb2.AlarmRequest.GET:
            return rpc_pb2.AlarmResponse(header=self._answers.header())
        raise errors.unsupported("raising or clearing alarms")

    @unary
    async def Defragment(self, request: rpc_pb2.DefragmentRequest, context: Context) -> rpc_pb2.DefragmentResponse:
        """The log and snapshots have nothing to defragment: done."""
        return rpc_pb2.DefragmentResponse(header=self._answers.header())
