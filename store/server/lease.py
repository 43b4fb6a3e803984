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

GONE = -1


class _Question(msgspec.Struct, array_like=True):
    """What a follower asks the leader's lessor."""

    lease_id: int
    keep_alive: bool


_question = msgspec.msgpack.Decoder(_Question)
_seconds = msgspec.msgpack.Decoder(int)


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
                seconds = await self._ask(request.ID, keep_alive=True)
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
        seconds = await self._ask(request.ID, keep_alive=False)
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

    async def _ask(self, lease_id: int, *, keep_alive: bool) -> int:
        payload = msgspec.msgpack.encode(_Question(lease_id, keep_alive))
        return _seconds.decode(await self._replica.call_leader(payload))

    def _answer_follower(self, payload: bytes) -> bytes:
        question = _question.decode(payload)
        try:
            if question.keep_alive:
                return msgspec.msgpack.encode(self._lessor.keep_alive(question.lease_id))
            return msgspec.msgpack.encode(self._lessor.remaining_s(question.lease_id))
        except errors.StoreError:
            return msgspec.msgpack.encode(GONE)


def with_id(request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantRequest:
    """The request itself, with a number where it leaves that to the store."""
    if not request.ID:
        request.ID = secrets.randbits(62) | 1 << 62
    return request
