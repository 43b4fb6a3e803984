"""The whole state and every command that changes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from . import compare, query
from .alarms import Alarms
from .auth import Auth
from .hash import UNKNOWN, RunningHash
from .history import History
from .index import FROM_KEY, KeyIndex
from .lease import Lease, Leases
from .members import Members
from .records import OVERHEAD_BYTES, Change, Record
from .sessions import Sessions
from .view import View

FIRST_REVISION = 1
HISTORY_KEPT = 1000
HISTORY_BYTES_MAX = 8 << 20
"""Revisions kept in spite of a compaction, so that it does not end watches that are a moment behind."""
SWEEP_CHANGES = 1000
_COMPACTED, _GRANTED, _REVOKED = 1, 2, 3
_Plan = list[tuple[str, Any, "_Branch | None"]]
_Branch = tuple[bool, _Plan]
"""What a transaction will do: whether its conditions hold, and the operations of that side, nested ones decided too."""


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

    `bytes` is the size of everything that can be read, `hash` a digest of everything that happened: both are the same
    on all members. Compaction only marks; memory is given back by `sweep`, a slice at a time, which no reader can tell.
    """

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.compacted = 0
        self.bytes = 0
        self.hash = RunningHash()
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
            "hash": self.hash,
            "members": self.members,
        }
        self._pending: list[Change] = []
        self._useless = 0  # bytes that the next revision leaves without a reader, once it is compacted
        self._buried = 0  # of tombstones in it: they go one revision later
        self._swept = (FIRST_REVISION, 0)  # up to here, a revision and a place in it, compaction was carried out
        self._views = 0

    # -- reads

    def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """One key or a range, now or at a revision. Raises compacted, future revision and corrupt."""
        if self.alarms.corrupt:
            raise errors.corrupt()
        query.check(request, current=self.revision, compacted=self.compacted)
        response = rpc_pb2.RangeResponse()
        query.evaluate(self.index, request, response, current=self.revision)
        return response

    def select(self, request: rpc_pb2.RangeRequest, answer: rpc_pb2.RangeResponse) -> Sequence[Record]:
        """The same, with the records by themselves: they do not change any more."""
        if self.alarms.corrupt:
            raise errors.corrupt()
        query.check(request, current=self.revision, compacted=self.compacted)
        return query.select(self.index, request, answer, current=self.revision)

    @property
    def _reading_revision(self) -> int:
        """What the operations of a transaction see: their own writes included."""
        return self.revision + 1 if self._pending else self.revision

    # -- commands

    def put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        if request.lease:
            self.leases.require(request.lease)  # inside a transaction, etcd looks for the key first
        if request.ignore_value or request.ignore_lease:
            self._check_put(request)
        response = rpc_pb2.PutResponse()
        self._put(request, response)
        self._commit()
        return response

    def put_plain(self, key: bytes, value: bytes, lease: int) -> None:
        """`put` of what is put most: nothing of the old record is kept, and nothing of it is asked."""
        if lease:
            self.leases.require(lease)
        revision = self.revision + 1
        change = self.index.put(key, value, revision, lease)
        record, previous = change.record, change.previous
        self.hash.add(record)
        self.bytes += len(key) + len(value) + OVERHEAD_BYTES
        useless = self._useless
        if previous is not None:
            useless += previous.size
            if previous.lease != lease:
                self.leases.attach(record.key, old=previous.lease, new=lease)
        elif lease:
            self.leases.attach(record.key, old=0, new=lease)
        self.revision = revision
        self.history.append_one(change, useless=useless)
        self._useless, self._buried = self._buried, 0

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        response = rpc_pb2.DeleteRangeResponse()
        self._delete_range(request, response)
        self._commit()
        return response

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """All or nothing: what would be refused inside is refused before anything is written."""
        if self.alarms.corrupt:
            raise errors.corrupt()
        ranges: list[rpc_pb2.RangeRequest] = []
        branch = self._decided(request, ranges)
        for each in ranges:
            query.check(each, current=self.revision, compacted=self.compacted)
            if each.revision < (0 if self.compacted else -1):  # etcd's own arithmetic, in transactions only
                raise errors.compacted()
        response = rpc_pb2.TxnResponse()
        self._carry_out(branch, response)
        self._commit()
        return response

    def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted before `revision`."""
        if revision <= self.compacted:
            raise errors.compacted()
        if revision > self.revision:
            raise errors.future_revision()
        self.bytes -= self.history.useless(revision) - self.history.useless(self.compacted)
        self.hash.note(_COMPACTED, revision)
        self.compacted = revision
        keep = max(self.revision - HISTORY_KEPT, self.history.within(HISTORY_BYTES_MAX, revision=revision))
        self.history.forget_before(min(revision, keep))

    def grant(self, lease_id: int, ttl_s: int) -> Lease:
        lease = self.leases.grant(lease_id, ttl_s)
        self.hash.note(_GRANTED, lease_id, ttl_s)
        return lease

    def revoke(self, lease_id: int) -> None:
        """Drop a lease and delete its keys, at one revision."""
        lease = self.leases.remove(lease_id)
        self.hash.note(_REVOKED, lease_id)
        for key in sorted(lease.keys):
            if self.index.newest(key):
                self._delete(key)
        self._commit()

    # -- one revision

    def _commit(self) -> None:
        if self._pending:
            self.revision += 1
            self.history.append(self._pending, useless=self._useless)
            self._useless, self._buried = self._buried, 0
            self._pending.clear()

    def _write(self, record: Record) -> None:
        previous = self.index.add(record)
        self._pending.append(Change(record, previous))
        self.hash.add(record)
        self.bytes += record.size
        if previous is None:
            if record.lease:
                self.leases.attach(record.key, old=0, new=record.lease)
            return
        self._useless += previous.size
        if not record.version:
            self._buried += record.size
        if previous.lease != record.lease:
            self.leases.attach(record.key, old=previous.lease, new=record.lease)

    def _check_put(self, request: rpc_pb2.PutRequest) -> None:
        if (request.ignore_value or request.ignore_lease) and self.index.newest(request.key) is None:
            raise errors.key_not_found()
        if request.lease:
            self.leases.require(request.lease)

    def _put(self, request: rpc_pb2.PutRequest, response: rpc_pb2.PutResponse) -> None:
        key = request.key
        revision = self.revision + 1
        old = self.index.newest(key)
        if old is None:
            record = Record(key, request.value, revision, revision, len(self._pending), 1, request.lease)
        else:
            record = Record(
                old.key,
                old.value if request.ignore_value else request.value,
                old.create_revision,
                revision,
                len(self._pending),
                old.version + 1,
                old.lease if request.ignore_lease else request.lease,
            )
            if request.prev_kv:
                old.fill(response.prev_kv)
        self._write(record)

    def _delete(self, key: bytes) -> None:
        self._write(Record(key, b"", 0, self.revision + 1, len(self._pending), 0, 0))

    def _delete_range(self, request: rpc_pb2.DeleteRangeRequest, response: rpc_pb2.DeleteRangeResponse) -> None:
        found = list(self.index.live(request.key, request.range_end))
        response.deleted = len(found)
        if request.prev_kv:
            for record in found:
                record.fill(response.prev_kvs.add())
        for record in found:
            self._delete(record.key)

    # -- transactions

    def _decided(self, request: rpc_pb2.TxnRequest, ranges: list[rpc_pb2.RangeRequest]) -> _Branch:
        """Decide every branch before anything is written, nested ones too, in the order of execution.

        Refuses what cannot be put; the `ranges` on the way are collected, to be checked when all puts were.
        """
        chosen = all([compare.holds(self.index, condition) for condition in request.compare])
        plan: _Plan = []
        for operation in request.success if chosen else request.failure:
            kind = operation.WhichOneof("request")
            if kind is None:
                raise errors.key_not_found()
            asked = getattr(operation, kind)
            nested = None
            if kind == "request_put":
                self._check_put(asked)
            elif kind == "request_range":
                ranges.append(asked)
            elif kind == "request_txn":
                nested = self._decided(asked, ranges)
            plan.append((kind, asked, nested))
        return chosen, plan

    def _carry_out(self, branch: _Branch, response: rpc_pb2.TxnResponse) -> None:
        response.succeeded, plan = branch
        add = response.responses.add
        for kind, asked, nested in plan:
            answer: Any
            if kind == "request_put":
                answer = add().response_put
                self._put(asked, answer)
            elif kind == "request_range":
                answer = add().response_range
                query.evaluate(self.index, asked, answer, current=self._reading_revision)
            elif kind == "request_delete_range":
                answer = add().response_delete_range
                self._delete_range(asked, answer)
            else:
                assert nested is not None
                answer = add().response_txn
                self._carry_out(nested, answer)
                answer.header.SetInParent()  # etcd answers it with an empty one
                continue
            answer.header.revision = self._reading_revision

    # -- memory

    def sweep(self, changes_max: int = SWEEP_CHANGES) -> bool:
        """Give back a slice of what compaction left; whether there is more. Waits while somebody has a view."""
        revision, place = self._swept
        if self._views:
            return revision < self.compacted or self.history.unfreed(self.compacted)
        revision, place = max((revision, place), (self.history.base, 0))
        left = changes_max
        while revision <= self.compacted and left > 0:
            changes = self.history.at(revision)[place : place + left]
            for change in changes:
                self.index.compact(change.record.key, self.compacted)
            place += len(changes)
            left -= len(changes) or 1
            if place == len(self.history.at(revision)):
                revision, place = revision + 1, 0
        done = revision > self.compacted
        # A tombstone at the compacted revision stays until the next compaction: that revision is looked at again.
        self._swept = (self.compacted, 0) if done else (revision, place)
        return self.history.free(self._swept[0], revisions_max=changes_max) or not done

    def view(self, revision: int = 0) -> View:
        """The state at a revision, 0 for now, to be read in slices. Close it soon: nothing is swept meanwhile.

        Raises compacted and future revision.
        """
        query.check_revision(revision, current=self.revision, compacted=self.compacted)
        self._views += 1
        return View(self.index, revision=revision or self.revision, compacted=self.compacted, release=self._release)

    def records(self) -> Iterator[Record]:
        """Everything that can be read, by key and then by revision. Do not change the state meanwhile."""
        with self.view() as view:
            for batch in view.batches():
                yield from batch

    def _release(self) -> None:
        self._views -= 1

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
        state.hash.value = UNKNOWN
        for name, dumped in parts.items():
            if name not in state.parts:
                raise UnknownPart(name)
            state.parts[name].load(dumped)
        state._load(list(records))
        return state

    def _load(self, records: list[Record]) -> None:
        self.index.load(records)
        self.bytes = sum([record.size for record in records])
        first = max(self.compacted, FIRST_REVISION + 1)
        changes: list[list[Change] | Change | None] = [None] * (self.revision - first + 1)
        before: Record | None = None
        for record in records:
            if record.mod_revision >= first:
                previous = before if before is not None and before.version and before.key == record.key else None
                place = record.mod_revision - first
                there = changes[place]
                if there is None:
                    changes[place] = Change(record, previous)
                elif isinstance(there, list):
                    there.append(Change(record, previous))
                else:
                    changes[place] = [there, Change(record, previous)]
            before = record
        self.history = History(first)
        self._swept = (first, 0)
        for there in changes:
            self._replay(sorted(there, key=_sub) if isinstance(there, list) else [there] if there else [])
        for record in self.index.live(b"", FROM_KEY):
            if record.lease:
                self.leases.attach(record.key, old=0, new=record.lease)

    def _replay(self, changes: list[Change]) -> None:
        """Take in what the snapshot has of the next revision."""
        for change in changes:
            if change.previous is not None:
                self._useless += change.previous.size
            if not change.record.version:
                self._buried += change.record.size
        self.history.append(changes, useless=self._useless)
        self._useless, self._buried = self._buried, 0


def _sub(change: Change) -> int:
    return change.record.sub
