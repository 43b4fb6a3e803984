"""Histories that are linearizable because they were made so: operations take effect one after another, clients overlap.

The state is the store's own; the checker's model is another implementation, so each tests the other.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store import errors, mvcc
from raftsman.testing.linearizability import History, Operation

Put, Range, Delete, Txn = rpc_pb2.PutRequest, rpc_pb2.RangeRequest, rpc_pb2.DeleteRangeRequest, rpc_pb2.TxnRequest
Grant, Revoke, Compact = rpc_pb2.LeaseGrantRequest, rpc_pb2.LeaseRevokeRequest, rpc_pb2.CompactionRequest
Compare, RequestOp = rpc_pb2.Compare, rpc_pb2.RequestOp
KEYS = [b"a", b"b", b"c", b"d", b"e"]


@dataclass
class Story:
    """Draws requests and carries them out. `values` are unique unless `repeat` says otherwise."""

    seed: int
    unknown: float = 0.05
    clients: int = 6
    repeat: bool = False
    state: mvcc.State = field(default_factory=mvcc.State)
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._number = itertools.count(1)
        self._leases: list[int] = []

    def tell(self, count: int) -> list[Operation]:
        """`count` operations; those that the state refuses are left out, as clients leave them out."""
        due: list[tuple[float, int, str, Any]] = [
            (self.random.random(), client, "call", client) for client in range(self.clients)
        ]
        heapq.heapify(due)
        order = itertools.count(self.clients)
        left = count
        while due:
            now, _, what, subject = heapq.heappop(due)
            if what == "call" and left:
                left -= 1
                request = self.request()
                heapq.heappush(due, (now + self.random.random(), next(order), "happen", (subject, now, request)))
            elif what == "happen":
                again = self._happen(now, *subject)
                heapq.heappush(due, (again, next(order), "call", subject[0]))
        return self.history.operations

    def _happen(self, now: float, client: int, call: float, request: Message) -> float:
        """The effect; answers when the client calls again."""
        lost = self.random.random() < self.unknown and not isinstance(request, Range)
        end = now + self.random.random()
        name = f"c{client}"
        if lost and self.random.random() < 0.5:
            self.history.unknown(name, request, call=call)
            return end
        try:
            answer = self.carry_out(request)
        except errors.StoreError:
            return end
        if lost:
            self.history.unknown(name, request, call=call)
        else:
            self.history.answered(name, request, answer, call=call, end=end)
        return end + self.random.random() * 0.1

    def carry_out(self, request: Message) -> Any:
        state = self.state
        answer: Any
        if isinstance(request, Range):
            answer = state.range(request)
        elif isinstance(request, Put):
            answer = state.put(request)
        elif isinstance(request, Delete):
            answer = state.delete_range(request)
        elif isinstance(request, Txn):
            answer = state.txn(request)
        elif isinstance(request, Grant):
            state.grant(request.ID, request.TTL)
            self._leases.append(request.ID)
            answer = rpc_pb2.LeaseGrantResponse(ID=request.ID, TTL=request.TTL)
        elif isinstance(request, Revoke):
            state.revoke(request.ID)
            answer = rpc_pb2.LeaseRevokeResponse()
        else:
            assert isinstance(request, Compact)
            state.compact(request.revision)
            answer = rpc_pb2.CompactionResponse()
        answer.header.revision = state.revision
        return answer

    # -- requests

    def request(self) -> Message:
        kinds = [self._put, self._get, self._list, self._delete, self._swap, self._lease, self._compact, self._old]
        return self.random.choices(kinds, [30, 25, 10, 6, 20, 6, 1, 3])[0]()

    def _key(self) -> bytes:
        return self.random.choice(KEYS)

    def _value(self) -> bytes:
        return b"same" if self.repeat else b"v%d" % next(self._number)

    def _put(self) -> Put:
        lease = self.random.choice(self._leases[-3:]) if self._leases and self.random.random() < 0.2 else 0
        return Put(key=self._key(), value=self._value(), lease=lease, prev_kv=self.random.random() < 0.3)

    def _get(self) -> Range:
        return Range(key=self._key(), serializable=self.random.random() < 0.1)

    def _list(self) -> Range:
        return Range(key=b"a", range_end=b"\0", limit=self.random.choice((0, 2)), keys_only=self.random.random() < 0.2)

    def _old(self) -> Range:
        low = max(self.state.compacted, self.state.revision - 20, 1)
        return Range(key=b"a", range_end=b"z", revision=self.random.randint(low, self.state.revision))

    def _delete(self) -> Delete:
        whole = self.random.random() < 0.2
        return Delete(key=b"a" if whole else self._key(), range_end=b"c" if whole else b"", prev_kv=whole)

    def _swap(self) -> Txn:
        """Compare and swap, right or outdated; sometimes over two keys and nested."""
        key = self._key()
        newest = self.state.index.newest(key)
        revision = (newest.mod_revision if newest else 0) - self.random.choice((0, 0, 1))
        condition = Compare(key=key, target=Compare.MOD, result=Compare.EQUAL, mod_revision=max(0, revision))
        success = [RequestOp(request_put=Put(key=key, value=self._value(), prev_kv=True))]
        if self.random.random() < 0.3:
            other = next(each for each in KEYS if each != key)
            success.append(RequestOp(request_delete_range=Delete(key=other)))
        failure = [RequestOp(request_range=Range(key=key))]
        if self.random.random() < 0.2:
            inner = Txn(compare=[condition], success=success, failure=failure)
            return Txn(success=[RequestOp(request_txn=inner)])
        return Txn(compare=[condition], success=success, failure=failure)

    def _lease(self) -> Message:
        if self._leases and self.random.random() < 0.5:
            return Revoke(ID=self.random.choice(self._leases[-4:]))
        return Grant(ID=1000 + next(self._number), TTL=10)

    def _compact(self) -> Compact:
        return Compact(revision=max(1, self.state.revision - self.random.randint(0, 30)))


def said(client: str, call: float, end: float, request: Message, revision: int, **answer: Any) -> Operation:
    """One answered operation, by hand."""
    kind = getattr(rpc_pb2, type(request).__name__.replace("Request", "Response"))
    return Operation(client, call, end, request, kind(header=rpc_pb2.ResponseHeader(revision=revision), **answer))


def lost(client: str, call: float, request: Message) -> Operation:
    return Operation(client, call, math.inf, request, None)
