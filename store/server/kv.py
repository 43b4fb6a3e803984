"""KV: reads of this member's state once it is known to be up to date, writes through the log."""

from __future__ import annotations

import grpc
import grpc.aio
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import apply_auth
from raftsman.store.commands import Kind

from . import checks, ready
from .answers import Answers, Context, unary


class KV(rpc_pb2_grpc.KVServicer):
    """Keys and values, as protos/raftsman/etcd/rpc.proto promises them."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve on a server, which Range's answers leave as the bytes that they may be already."""
        service = rpc_pb2.DESCRIPTOR.services_by_name["KV"]
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(
                getattr(self, method.name),
                request_deserializer=getattr(rpc_pb2, method.input_type.name).FromString,
                response_serializer=ready.serialize,
            )
            for method in service.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    @unary
    async def Range(  # type: ignore[override]
        self, request: rpc_pb2.RangeRequest, context: Context
    ) -> rpc_pb2.RangeResponse | ready.RangeResponse:
        checks.check_range(request)
        if not request.serializable:
            await self._replica.up_to_date()
        who = await self._answers.identity.permit(context)
        state = self._replica.state
        state.auth.check_read(who, request.key, request.range_end)
        answer = rpc_pb2.RangeResponse()
        records = state.select(request, answer)
        self._answers.complete(answer.header)
        return await ready.listed(answer, records, keys_only=request.keys_only)

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
        answer = await self._answers.write(Kind.COMPACT, request, context, rpc_pb2.CompactionResponse)
        if request.physical:
            await self._replica.swept()
        return answer
