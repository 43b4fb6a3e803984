"""KV: reads of this member's state once it is known to be up to date, writes through the log."""

from __future__ import annotations

from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import apply_auth
from raftsman.store.commands import Kind

from . import checks
from .answers import Answers, Context, unary


class KV(rpc_pb2_grpc.KVServicer):
    """Keys and values, as protos/raftsman/etcd/rpc.proto promises them."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica

    @unary
    async def Range(self, request: rpc_pb2.RangeRequest, context: Context) -> rpc_pb2.RangeResponse:
        checks.check_range(request)
        if not request.serializable:
            await self._replica.up_to_date()
        who = await self._answers.identity.permit(context)
        state = self._replica.state
        state.auth.check_read(who, request.key, request.range_end)
        answer = state.range(request)
        self._answers.complete(answer.header)
        return answer

    @unary
    async def Put(self, request: rpc_pb2.PutRequest, context: Context) -> rpc_pb2.PutResponse:
        checks.check_put(request)
        return await self._answers.write(Kind.PUT, request, context, rpc_pb2.PutResponse)

    @unary
    async def DeleteRange(self, request: rpc_pb2.DeleteRangeRequest, context: Context) -> rpc_pb2.DeleteRangeResponse:
        checks.check_delete(request)
        return await self._answers.write(Kind.DELETE_RANGE, request, context, rpc_pb2.DeleteRangeResponse)

    @unary
    async def Txn(self, request: rpc_pb2.TxnRequest, context: Context) -> rpc_pb2.TxnResponse:
        checks.check_txn(request)
        if not checks.only_reads(request):
            return await self._answers.write(Kind.TXN, request, context, rpc_pb2.TxnResponse)
        if not checks.only_serializable(request):
            await self._replica.up_to_date()
        who = await self._answers.identity.permit(context)
        state = self._replica.state
        if state.auth.enabled:
            apply_auth.check_txn(state, request, who)
        answer = state.txn(request)
        self._answers.complete(answer.header)
        return answer

    @unary
    async def Compact(self, request: rpc_pb2.CompactionRequest, context: Context) -> rpc_pb2.CompactionResponse:
        await self._answers.identity.permit_admin(context)
        return await self._answers.write(Kind.COMPACT, request, context, rpc_pb2.CompactionResponse)
