"""Lock: etcd's lock service. See queues."""

from __future__ import annotations

from raftsman.etcd import lock_pb2, lock_pb2_grpc, rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind

from . import checks
from .answers import Answers, Context, unary
from .queues import Queues


class Lock(lock_pb2_grpc.LockServicer):
    """Locks by name, as protos/raftsman/etcd/lock.proto promises them."""

    def __init__(self, answers: Answers, queues: Queues) -> None:
        self._answers = answers
        self._queues = queues

    @unary
    async def Lock(self, request: lock_pb2.LockRequest, context: Context) -> lock_pb2.LockResponse:
        place = await self._queues.join(request.name, request.lease, b"", context)
        if not await self._queues.wait(place, context):
            raise errors.lock_lost()
        return lock_pb2.LockResponse(header=self._answers.header(), key=place.key)

    @unary
    async def Unlock(self, request: lock_pb2.UnlockRequest, context: Context) -> lock_pb2.UnlockResponse:
        delete = rpc_pb2.DeleteRangeRequest(key=request.key)
        checks.check_delete(delete)
        answer = await self._answers.write(Kind.DELETE_RANGE, delete, context, rpc_pb2.DeleteRangeResponse)
        return lock_pb2.UnlockResponse(header=answer.header)
