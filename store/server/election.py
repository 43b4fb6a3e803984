"""Election: etcd's election service. See queues; the front's value is what the leader proclaims."""

from __future__ import annotations

from raftsman.etcd import election_pb2, election_pb2_grpc, rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind

from .answers import Answers, Context, unary
from .departures import ends_with_its_client
from .queues import Place, Queues, prefix_of


class Election(election_pb2_grpc.ElectionServicer):
    """Elections by name, as protos/raftsman/etcd/election.proto promises them."""

    def __init__(self, answers: Answers, queues: Queues) -> None:
        self._answers = answers
        self._queues = queues

    @unary
    async def Campaign(self, request: election_pb2.CampaignRequest, context: Context) -> election_pb2.CampaignResponse:
        place = await self._queues.join(request.name, request.lease, request.value, context)
        if not place.made:
            await self._write(place, request.value, context)
        if not await self._queues.wait(place, context):
            raise errors.not_elected()
        key = election_pb2.LeaderKey(name=request.name, key=place.key, rev=place.revision, lease=place.lease)
        return election_pb2.CampaignResponse(header=self._answers.header(), leader=key)

    @unary
    async def Proclaim(self, request: election_pb2.ProclaimRequest, context: Context) -> election_pb2.ProclaimResponse:
        if not request.HasField("leader"):
            raise errors.leader_not_given()
        answer = await self._write(_place(request.leader), request.value, context)
        return election_pb2.ProclaimResponse(header=answer.header)

    async def _write(self, place: Place, value: bytes, context: Context) -> rpc_pb2.TxnResponse:
        """Give a place its value. Raises not_elected when it is another's, or nobody's."""
        put = rpc_pb2.PutRequest(key=place.key, value=value, lease=place.lease)
        request = rpc_pb2.TxnRequest(compare=[place.own], success=[rpc_pb2.RequestOp(request_put=put)])
        answer = await self._answers.write(Kind.TXN, request, context, rpc_pb2.TxnResponse)
        if not answer.succeeded:
            raise errors.not_elected()
        return answer

    @unary
    async def Leader(self, request: election_pb2.LeaderRequest, context: Context) -> election_pb2.LeaderResponse:
        await self._answers.replica.up_to_date()
        front = await self._queues.front(prefix_of(request.name), context)
        if front is None:
            raise errors.nobody_elected()
        return election_pb2.LeaderResponse(header=self._answers.header(), kv=front)

    @unary
    @ends_with_its_client
    async def Observe(  # type: ignore[override]
        self, request: election_pb2.LeaderRequest, context: Context
    ) -> None:
        prefix = prefix_of(request.name)
        await self._answers.replica.up_to_date()
        seen = 0
        with self._queues.woken(prefix) as event:
            while True:
                event.clear()
                front = await self._queues.front(prefix, context)
                if front is not None and front.mod_revision != seen:
                    seen = front.mod_revision
                    await context.write(election_pb2.LeaderResponse(header=self._answers.header(), kv=front))
                    continue
                await event.wait()

    @unary
    async def Resign(self, request: election_pb2.ResignRequest, context: Context) -> election_pb2.ResignResponse:
        if not request.HasField("leader"):
            raise errors.leader_not_given()
        place = _place(request.leader)
        gone = rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=place.key))
        txn = rpc_pb2.TxnRequest(compare=[place.own], success=[gone])
        answer = await self._answers.write(Kind.TXN, txn, context, rpc_pb2.TxnResponse)
        return election_pb2.ResignResponse(header=answer.header)


def _place(leader: election_pb2.LeaderKey) -> Place:
    """The place that a client holds, as it was told. Raises empty_key."""
    if not leader.key:
        raise errors.empty_key()
    return Place(prefix_of(leader.name), leader.key, leader.rev, leader.lease, made=False)
