"""The whole state and every command that changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from . import compare, index, query
from .alarms import Alarms
from .auth import Auth
from .history import History
from .index import KeyIndex
from .lease import Lease, Leases
from .members import Members
from .records import Change, Record
from .sessions import Sessions

FIRST_REVISION = 1
HISTORY_KEPT = 1000
"""Changes kept in spite of a compaction, so that it does not end watches that are a moment behind."""
_Branch = Callable[[], bool]


class Part(Protocol):
    """What the state holds beside keys. Both forms are on disk: a part reads what its earlier versions wrote."""

    def dump(self) -> object:
        """Everything it holds, as values that msgpack takes; later changes do not touch them."""

    def load(self, dumped: Any) -> None:
        """Take what `dump` answered for the whole of this part. Called once, on a new state."""


class UnknownPart(Exception):
    """A snapshot holds a part that this program is too old for."""


class State:
    """Keys, history and leases at one revision.

    A new state is at revision 1. Every command that writes makes exactly one revision, however many keys it touches:

        put a            -> revision 2   a@2.0 version 1
        txn put a, put b -> revision 3   a@3.0 version 2, b@3.1 version 1
        delete a..z      -> revision 4   a@4.0 tombstone, b@4.1 tombstone
        delete a..z      -> revision 4   nothing to delete, no revision
        compact 3        -> revision 4   reads below 3 are refused; changes from 3 on can be watched
    """

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.compacted = 0
        self.index = KeyIndex()
        self.history = History(FIRST_REVISION + 1)
        self.leases = Leases()
        self.alarms = Alarms()
        self.auth = Auth()
        self.sessions = Sessions()
        self.members = Members()
        self.parts: dict[str, Part] = {
            "leases": self.leases,
            "alarms": self.alarms,
            "auth": self.auth,
            "sessions": self.sessions,
            "members": self.members,
        }
        self._pending: list[Change] = []

    # -- reads

    def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """One key or a range, now or at a revision. Raises compacted, future revision and corrupt."""
        if self.alarms.corrupt:
            raise errors.corrupt()
        query.check_revision(request.revision, current=self.revision, compacted=self.compacted)
        return query.evaluate(self.index, request, current=self._reading_revision)

    @property
    def _reading_revision(self) -> int:
        """What the operations of a transaction see: their own writes included."""
        return self.revision + 1 if self._pending else self.revision

    # -- commands

    def put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        self._check_put(request)
        response = self._put(request)
        self._commit()
        return response

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        response = self._delete_range(request)
        self._commit()
        return response

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """All or nothing: what would be refused inside is refused before anything is written."""
        if self.alarms.corrupt:
            raise errors.corrupt()
        path: list[bool] = []
        self._choose(request, path)
        self._check_txn(request, iter(path).__next__)
        response = self._txn(request, iter(path).__next__)
        self._commit()
        return response

    def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted before `revision`."""
        if revision <= self.compacted:
            raise errors.compacted()
        if revision > self.revision:
            raise errors.future_revision()
        for changed in range(max(self.compacted, self.history.first), revision + 1):
            for change in self.history.at(changed):
                self.index.compact(change.record.key, revision)
        self.compacted = revision
        self.history.drop_before(min(revision, self.revision - HISTORY_KEPT))

    def grant(self, lease_id: int, ttl_s: int) -> Lease:
        return self.leases.grant(lease_id, ttl_s)

    def revoke(self, lease_id: int) -> None:
        """Drop a lease and delete its keys, at one revision."""
        lease = self.leases.remove(lease_id)
        for key in sorted(lease.keys):
            if self.index.newest(key):
                self._delete(key)
        self._commit()

    # -- one revision

    def _commit(self) -> None:
        if self._pending:
            self.revision += 1
            self.history.append(tuple(self._pending))
            self._pending.clear()

    def _write(self, record: Record) -> Record | None:
        previous = self.index.add(record)
        self._pending.append(Change(record, previous))
        self.leases.attach(record.key, old=previous.lease if previous else 0, new=record.lease)
        return previous

    def _put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        old = self.index.newest(request.key)
        revision = self.revision + 1
        value, lease = request.value, request.lease
        if request.ignore_value or request.ignore_lease:
            assert old is not None
            value = old.value if request.ignore_value else value
            lease = old.lease if request.ignore_lease else lease
        created = old.create_revision if old else revision
        version = old.version + 1 if old else 1
        self._write(Record(request.key, value, created, revision, len(self._pending), version, lease))
        response = rpc_pb2.PutResponse()
        if request.prev_kv and old:
            response.prev_kv.CopyFrom(old.message())
        return response

    def _delete(self, key: bytes) -> Record | None:
        return self._write(Record(key, b"", 0, self.revision + 1, len(self._pending), 0, 0))

    def _delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        found = list(self.index.live(request.key, request.range_end))
        for record in found:
            self._delete(record.key)
        response = rpc_pb2.DeleteRangeResponse(deleted=len(found))
        if request.prev_kv:
            response.prev_kvs.extend(record.message() for record in found)
        return response

    # -- transactions

    def _choose(self, request: rpc_pb2.TxnRequest, path: list[bool]) -> None:
        """Decide every branch before anything is written, nested ones too, in the order of execution."""
        chosen = all(compare.holds(self.index, condition) for condition in request.compare)
        path.append(chosen)
        for operation in request.success if chosen else request.failure:
            if operation.WhichOneof("request") == "request_txn":
                self._choose(operation.request_txn, path)

    def _check_txn(self, request: rpc_pb2.TxnRequest, branch: _Branch) -> None:
        for operation in request.success if branch() else request.failure:
            kind = operation.WhichOneof("request")
            if kind == "request_put":
                self._check_put(operation.request_put)
            elif kind == "request_range":
                wanted = operation.request_range.revision
                query.check_revision(wanted, current=self.revision, compacted=self.compacted)
            elif kind == "request_txn":
                self._check_txn(operation.request_txn, branch)

    def _check_put(self, request: rpc_pb2.PutRequest) -> None:
        if (request.ignore_value or request.ignore_lease) and self.index.newest(request.key) is None:
            raise errors.key_not_found()
        if request.lease:
            self.leases.require(request.lease)

    def _txn(self, request: rpc_pb2.TxnRequest, branch: _Branch) -> rpc_pb2.TxnResponse:
        succeeded = branch()
        response = rpc_pb2.TxnResponse(succeeded=succeeded)
        for operation in request.success if succeeded else request.failure:
            response.responses.append(self._operation(operation, branch))
        return response

    def _operation(self, operation: rpc_pb2.RequestOp, branch: _Branch) -> rpc_pb2.ResponseOp:
        kind = operation.WhichOneof("request")
        if kind == "request_range":
            found = query.evaluate(self.index, operation.request_range, current=self._reading_revision)
            found.header.revision = self._reading_revision
            return rpc_pb2.ResponseOp(response_range=found)
        if kind == "request_put":
            put = self._put(operation.request_put)
            put.header.revision = self._reading_revision
            return rpc_pb2.ResponseOp(response_put=put)
        if kind == "request_delete_range":
            deleted = self._delete_range(operation.request_delete_range)
            deleted.header.revision = self._reading_revision
            return rpc_pb2.ResponseOp(response_delete_range=deleted)
        assert kind == "request_txn", kind
        return rpc_pb2.ResponseOp(response_txn=self._txn(operation.request_txn, branch))

    # -- snapshots

    def copy_of_parts(self) -> dict[str, object]:
        """What every part holds beside the keys, by the part's name, as values that msgpack takes."""
        return {name: part.dump() for name, part in self.parts.items()}

    @classmethod
    def restored(
        cls, *, revision: int, compacted: int, parts: Mapping[str, object], records: Iterable[Record]
    ) -> State:
        """The state that a snapshot describes. `records` are grouped by key, each key's by revision.

        Raises UnknownPart when the snapshot holds what this program does not know.
        """
        state = cls()
        state.revision = revision
        state.compacted = compacted
        for name, dumped in parts.items():
            if name not in state.parts:
                raise UnknownPart(name)
            state.parts[name].load(dumped)
        first = max(compacted, FIRST_REVISION + 1)
        changes: list[list[Change]] = [[] for _ in range(revision - first + 1)]
        for record in records:
            previous = state.index.add(record)
            if record.mod_revision >= first:
                changes[record.mod_revision - first].append(Change(record, previous))
        for record in state.index.live(b"", index.FROM_KEY):
            state.leases.attach(record.key, old=0, new=record.lease)
        state.history = History(first)
        for of_revision in changes:
            state.history.append(tuple(sorted(of_revision, key=_sub)))
        return state


def _sub(change: Change) -> int:
    return change.record.sub
