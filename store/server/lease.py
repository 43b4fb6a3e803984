"""Lease: grants and revocations through the log, keep-alives and time left from the leader's clock."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import msgspec
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import apply_auth, errors
from raftsman.store.commands import Kind
from raftsman.store.lessor import Lessor

from .answers import Answers, Context, unary
from .departures import ends_with_its_client

GONE = -1
RENEWALS_MAX = 5
"""How often a keep-alive is tried again because the leader changed meanwhile."""


class _Question(msgspec.Struct, array_like=True):
    """What a follower asks the leader's lessor."""

    lease_id: int
    keep_alive: bool


class _Told(msgspec.Struct, array_like=True):
    """What the leader's lessor says, and in which term it led."""

    seconds: int
    term: int


_question = msgspec.msgpack.Decoder(_Question)
_told = msgspec.msgpack.Decoder(_Told)


class Lease(rpc_pb2_grpc.LeaseServicer):
    """Leases, as protos/raftsman/etcd/rpc.proto promises them."""

    def __init__(self, answers: Answers, lessor: Lessor) -> None:
        self._answers = answers
        self._replica = answers.replica
        self._lessor = lessor
        self._replica.answer_call = self._answer_follower

    @unary
    async def LeaseGrant(self, request: rpc_pb2.LeaseGrantRequest, context: Context) -> rpc_pb2.LeaseGrantResponse:
        with_id(request)
        return await self._answers.write(Kind.LEASE_GRANT, request, context, rpc_pb2.LeaseGrantResponse)

    @unary
    async def LeaseRevoke(self, request: rpc_pb2.LeaseRevokeRequest, context: Context) -> rpc_pb2.LeaseRevokeResponse:
        return await self._answers.write(Kind.LEASE_REVOKE, request, context, rpc_pb2.LeaseRevokeResponse)

    @ends_with_its_client
    async def LeaseKeepAlive(  # type: ignore[override]
        self,
        request_iterator: AsyncIterator[rpc_pb2.LeaseKeepAliveRequest],
        context: Context,
    ) -> None:
        """One answer a request, in order; TTL 0 says that the lease is gone."""
        async for request in request_iterator:
            try:
                who = await self._answers.identity.permit_user(context)
                apply_auth.check_lease(self._replica.state, request.ID, who)
                seconds = await self._renew(request.ID)
            except errors.StoreError as error:
                await context.abort(error.code, error.text)
            header = self._answers.header()
            await context.write(rpc_pb2.LeaseKeepAliveResponse(header=header, ID=request.ID, TTL=max(0, seconds)))

    @unary
    async def LeaseTimeToLive(
        self, request: rpc_pb2.LeaseTimeToLiveRequest, context: Context
    ) -> rpc_pb2.LeaseTimeToLiveResponse:
        await self._replica.up_to_date()
        who = await self._answers.identity.permit_user(context)
        seconds = (await self._ask(request.ID, keep_alive=False)).seconds
        answer = rpc_pb2.LeaseTimeToLiveResponse(header=self._answers.header(), ID=request.ID, TTL=seconds)
        lease = self._replica.state.leases.get(request.ID)
        if lease is not None:
            answer.grantedTTL = lease.ttl_s
            if request.keys:
                apply_auth.check_lease_read(self._replica.state, request.ID, who)
                answer.keys.extend(sorted(lease.keys))
        return answer

    @unary
    async def LeaseLeases(self, request: rpc_pb2.LeaseLeasesRequest, context: Context) -> rpc_pb2.LeaseLeasesResponse:
        """As etcd has it, only for those who may read the keys of every lease."""
        await self._replica.up_to_date()
        who = await self._answers.identity.permit_user(context)
        state = self._replica.state
        for lease_id in state.leases.ids() if state.auth.enabled else ():
            apply_auth.check_lease_read(state, lease_id, who)
        statuses = [rpc_pb2.LeaseStatus(ID=lease_id) for lease_id in state.leases.ids()]
        return rpc_pb2.LeaseLeasesResponse(header=self._answers.header(), leases=statuses)

    async def _renew(self, lease_id: int) -> int:
        """Start a lease's time again, at a leader that still was one afterwards: a later one starts it once more."""
        for _ in range(RENEWALS_MAX):
            told = await self._ask(lease_id, keep_alive=True)
            await self._replica.up_to_date()
            if told.term == self._replica.role.term:
                return told.seconds
        raise errors.leader_lost()

    async def _ask(self, lease_id: int, *, keep_alive: bool) -> _Told:
        payload = msgspec.msgpack.encode(_Question(lease_id, keep_alive))
        return _told.decode(await self._replica.call_leader(payload))

    def _answer_follower(self, payload: bytes) -> bytes:
        question = _question.decode(payload)
        try:
            ask = self._lessor.keep_alive if question.keep_alive else self._lessor.remaining_s
            seconds = ask(question.lease_id)
        except errors.StoreError:
            seconds = GONE
        return msgspec.msgpack.encode(_Told(seconds, self._replica.role.term))


def with_id(request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantRequest:
    """The request itself, with a number where it leaves that to the store."""
    if not request.ID:
        request.ID = secrets.randbits(62) | 1 << 62
    return request
