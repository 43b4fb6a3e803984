"""Batch: many operations a stream, as protos/raftsman/kv/v1/batch.proto promises them.

A stream has a reader (this RPC's own task) and a sender. What one message brings is checked, proposed together, and
answered when it was applied; the sender takes whatever was answered meanwhile as one message. The reads of a message
share one confirmation that this member is up to date. Bounds: OPERATIONS_MAX a message; while IN_FLIGHT_MAX operations
or IN_FLIGHT_BYTES_MAX of them are not answered, or their answers not taken, the stream is not read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from raftsman.etcd import rpc_pb2
from raftsman.kv import v1 as kv
from raftsman.kv.v1 import batch_pb2_grpc
from raftsman.store import apply_auth, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import NOBODY, Who
from raftsman.store.mvcc.sessions import Outcome
from raftsman.store.pending import Settled
from raftsman.store.replica import Proposal

from . import checks
from .answers import Answers, Context
from .departures import ends_with_its_client
from .lease import with_id

OPERATIONS_MAX = 4_096
IN_FLIGHT_MAX = 8_192
IN_FLIGHT_BYTES_MAX = 64 << 20
ANSWER_BYTES = 1 << 20
_SESSION = 0
"""The tag of the operation that opens a session; those of clients are positive."""

_Read = rpc_pb2.RangeRequest | rpc_pb2.TxnRequest


class Batch(batch_pb2_grpc.BatchServicer):
    """Every stream of this member."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._streams: set[_Stream] = set()

    @ends_with_its_client
    async def Operate(  # type: ignore[override]
        self, request_iterator: AsyncIterator[kv.OperateRequest], context: Context
    ) -> None:
        """One stream, until either side ends it. What was asked is answered before the end."""
        stream = _Stream(self._answers, context)
        self._streams.add(stream)
        refused: errors.StoreError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stream.send_all(context))
                try:
                    async for request in request_iterator:
                        await stream.take(request, tasks)
                    stream.end()
                except errors.StoreError as error:
                    # The sender ends the stream: cancelled in the middle of a write, it would never tell its client.
                    stream.refuse(error)
        except* errors.StoreError as group:
            refused = next(error for error in group.exceptions if isinstance(error, errors.StoreError))
        finally:
            self._streams.discard(stream)
        if refused is not None:
            await context.abort(refused.code, refused.text)

    def close(self) -> None:
        """End every stream: the member stops."""
        for stream in self._streams:
            stream.refuse(errors.stopped())


class _Stream:
    """The operations of one RPC: those without an answer by number, and the answers on their way."""

    def __init__(self, answers: Answers, context: Context) -> None:
        self._answers = answers
        self._context = context
        self._replica = answers.replica
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._settled: deque[tuple[int, Settled]] = deque()
        self._session = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._refused: errors.StoreError | None = None

    def end(self) -> None:
        """The client sends no more."""
        self._ended = True
        self._wake.set()

    def refuse(self, error: errors.StoreError) -> None:
        self._refused = error
        self._wake.set()

    # -- what the client asks

    async def take(self, request: kv.OperateRequest, tasks: asyncio.TaskGroup) -> None:
        """Raises what ends the stream."""
        while len(self._sizes) + len(self._settled) >= IN_FLIGHT_MAX or self._bytes >= IN_FLIGHT_BYTES_MAX:
            self._room.clear()
            await self._room.wait()
        if len(request.operations) > OPERATIONS_MAX:
            raise errors.too_many_requests()
        who, refused = await self._who()
        if request.open_session:
            if _SESSION in self._sizes:
                raise errors.invalid_request("the session that was asked for is still being opened")
            proposal = Proposal(Kind.SESSION_OPEN, secrets.token_bytes(7), _SESSION)
            self._sizes[_SESSION] = 0
            self._replica.propose_all((proposal,), self, who=who)
        writes: list[Proposal] = []
        reads: list[tuple[int, _Read]] = []
        for operation in request.operations:
            self._sort(operation, writes, reads)
        if refused is not None:
            for number in [*(write.tag for write in writes), *(number for number, _ in reads)]:
                self.settle(number, refused)
            return
        if reads:
            tasks.create_task(self._read(reads))
        if writes:
            self._replica.propose_all(
                writes, self, who=who, session=request.session, received=request.received, again=request.again
            )

    async def _who(self) -> tuple[Who, errors.StoreError | None]:
        """Whose the stream is by now, and why he may do nothing any more: tokens end while streams go on."""
        try:
            return await self._answers.identity.permit_user(self._context), None
        except errors.StoreError as error:
            return NOBODY, error

    def _sort(self, operation: kv.Operation, writes: list[Proposal], reads: list[tuple[int, _Read]]) -> None:
        number, kind, payload = operation.number, operation.kind, operation.request
        if number <= 0 or number in self._sizes:
            raise errors.invalid_request(f"operation number {number} is not positive, or in use")
        self._sizes[number] = size = len(payload)
        self._bytes += size
        try:
            if kind == kv.OPERATION_KIND_PUT:
                checks.check_put(rpc_pb2.PutRequest.FromString(payload))
                writes.append(Proposal(Kind.PUT, payload, number))
            elif kind == kv.OPERATION_KIND_TXN:
                txn = rpc_pb2.TxnRequest.FromString(payload)
                checks.check_txn(txn)
                if checks.only_reads(txn):
                    reads.append((number, txn))
                else:
                    writes.append(Proposal(Kind.TXN, payload, number))
            elif kind == kv.OPERATION_KIND_RANGE:
                wanted = rpc_pb2.RangeRequest.FromString(payload)
                checks.check_range(wanted)
                reads.append((number, wanted))
            else:
                writes.append(_rare(number, kind, payload))
        except errors.StoreError as error:
            self.settle(number, error)
        except DecodeError:
            self.settle(number, errors.invalid_request("the request is not what its kind says"))

    async def _read(self, reads: list[tuple[int, _Read]]) -> None:
        try:
            if not all(_stale_is_fine(request) for _, request in reads):
                await self._replica.up_to_date()
            who, refused = await self._who()
        except errors.StoreError as error:
            who, refused = NOBODY, error
        for number, request in reads:
            self.settle(number, refused or self._evaluated(request, who))

    def _evaluated(self, request: _Read, who: Who) -> Settled:
        """Asks the state as it is now: a snapshot that arrived meanwhile is another one."""
        state = self._replica.state
        answer: Message
        try:
            if isinstance(request, rpc_pb2.RangeRequest):
                state.auth.check_read(who, request.key, request.range_end)
                answer = state.range(request)
            else:
                if state.auth.enabled:
                    apply_auth.check_txn(state, request, who)
                answer = state.txn(request)
        except errors.StoreError as error:
            return error
        return Outcome(self._replica.state.revision, answer.SerializeToString())

    # -- pending.Sink

    def settle(self, tag: int, settled: Settled) -> None:
        self._bytes -= self._sizes.pop(tag)
        if tag != _SESSION:
            self._settled.append((tag, settled))
        elif isinstance(settled, errors.StoreError):
            self._refused = settled
        else:
            assert isinstance(settled, kv.OperateResponse)
            self._session = settled.session
        self._wake.set()

    # -- what is sent

    async def send_all(self, context: Context) -> None:
        """Send until everything was answered and the client sends no more. Raises what ends the stream early."""
        await context.write(self._response())
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._settled or self._session:
                await context.write(self._response())
                self._room.set()
            if self._refused is not None:
                raise self._refused
            if self._ended and not self._sizes:
                return

    def _response(self) -> kv.OperateResponse:
        response = kv.OperateResponse(
            cluster_id=self._answers.cluster.id,
            member_id=self._answers.cluster.member,
            raft_term=self._replica.role.term,
            session=self._session,
        )
        self._session = 0
        size, settled, add = 0, self._settled, response.answers.add
        while settled and size < ANSWER_BYTES:
            number, outcome = settled.popleft()
            if isinstance(outcome, errors.StoreError):
                add(number=number, code=outcome.code.value[0], text=outcome.text)
                continue
            if not isinstance(outcome, Outcome):
                outcome = Outcome.of(outcome)
            if outcome.code:
                add(number=number, code=outcome.code, text=outcome.text)
            else:
                add(number=number, revision=outcome.revision, response=outcome.response)
                size += len(outcome.response)
        return response


def _rare(number: int, kind: int, payload: bytes) -> Proposal:
    """Check what is not asked often. Raises StoreError and DecodeError."""
    if kind == kv.OPERATION_KIND_DELETE_RANGE:
        checks.check_delete(rpc_pb2.DeleteRangeRequest.FromString(payload))
    elif kind == kv.OPERATION_KIND_COMPACT:
        rpc_pb2.CompactionRequest.FromString(payload)
    elif kind == kv.OPERATION_KIND_LEASE_GRANT:
        payload = with_id(rpc_pb2.LeaseGrantRequest.FromString(payload)).SerializeToString()
    elif kind == kv.OPERATION_KIND_LEASE_REVOKE:
        rpc_pb2.LeaseRevokeRequest.FromString(payload)
    else:
        raise errors.invalid_request(f"unknown kind of operation {kind}")
    return Proposal(Kind(kind), payload, number)


def _stale_is_fine(request: Any) -> bool:
    if isinstance(request, rpc_pb2.RangeRequest):
        return request.serializable
    return checks.only_serializable(request)
