"""The state against a model that keeps every revision as a whole dict, and through a snapshot at any point.

Beside it runs a twin that is told the same, its puts as whole requests, and is never restarted and never swept: nobody
may tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from raftsman.etcd import rpc_pb2
from raftsman.store import mvcc, snapshot
from raftsman.store.mvcc import hash as digests
from raftsman.store.mvcc import view as views
from raftsman.store.mvcc import watchers

KEYS = st.sampled_from([b"a", b"b", b"ba", b"c", b"d"])
VALUES = st.binary(max_size=3)
views.SLICE_RECORDS = 1  # as if there were many keys


def _operation(key: bytes, value: bytes | None) -> rpc_pb2.RequestOp:
    if value is None:
        return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=value))


def contents(view: mvcc.View) -> list[mvcc.Record]:
    with view:
        return [record for batch in view.batches() for record in batch]


def digest(view: mvcc.View) -> int:
    with view:
        return list(digests.of_records(view))[-1]


class Model(RuleBasedStateMachine):
    """`revisions[r]` is the whole content at revision r; `events` every change since the first."""

    def __init__(self) -> None:
        super().__init__()
        self.state = mvcc.State()
        self.twin = mvcc.State()
        self.reading: tuple[Iterator[list[mvcc.Record]], list[mvcc.Record], list[mvcc.Record]] | None = None
        self.view: mvcc.View | None = None
        self.revisions: dict[int, dict[bytes, bytes]] = {1: {}}
        self.events: list[tuple[int, bytes, bytes | None]] = []
        self.leases: dict[int, set[bytes]] = {}
        self.next_lease = 1

    def _write(self, changes: dict[bytes, bytes | None]) -> None:
        content = dict(self.revisions[max(self.revisions)])
        revision = max(self.revisions) + 1
        for key, value in changes.items():
            if value is None:
                del content[key]
            else:
                content[key] = value
            self.events.append((revision, key, value))
            for keys in self.leases.values():
                keys.discard(key)
        self.revisions[revision] = content

    def _both(self, command: Callable[[mvcc.State], object]) -> object:
        command(self.twin)
        return command(self.state)

    @property
    def now(self) -> dict[bytes, bytes]:
        return self.revisions[max(self.revisions)]

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.twin.put(rpc_pb2.PutRequest(key=key, value=value))
        self.state.put_plain(key, value, 0)
        self._write({key: value})

    @rule(key=KEYS, end=KEYS)
    def delete(self, key: bytes, end: bytes) -> None:
        answer = self._both(lambda state: state.delete_range(rpc_pb2.DeleteRangeRequest(key=key, range_end=end)))
        assert isinstance(answer, rpc_pb2.DeleteRangeResponse)
        gone = sorted(found for found in self.now if key <= found < end)
        assert answer.deleted == len(gone)
        if gone:
            self._write(dict.fromkeys(gone))

    @rule(writes=st.dictionaries(KEYS, VALUES | st.none(), min_size=1, max_size=3), nested=st.booleans())
    def txn(self, writes: dict[bytes, bytes | None], nested: bool) -> None:
        operations = [_operation(key, value) for key, value in writes.items()]
        if nested:
            operations[-1:] = [rpc_pb2.RequestOp(request_txn=rpc_pb2.TxnRequest(success=operations[-1:]))]
        self._both(lambda state: state.txn(rpc_pb2.TxnRequest(success=operations)))
        effective = {key: value for key, value in writes.items() if value is not None or key in self.now}
        if effective:
            self._write(effective)

    @rule(key=KEYS, value=VALUES)
    def put_leased(self, key: bytes, value: bytes) -> None:
        self._both(lambda state: state.grant(self.next_lease, 60))
        self.twin.put(rpc_pb2.PutRequest(key=key, value=value, lease=self.next_lease))
        self.state.put_plain(key, value, self.next_lease)
        self._write({key: value})
        self.leases[self.next_lease] = {key}
        self.next_lease += 1

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.leases)))
        self._both(lambda state: state.revoke(lease))
        keys = self.leases.pop(lease)
        if keys:
            self._write(dict.fromkeys(sorted(keys)))

    @precondition(lambda self: max(self.revisions) > self.state.compacted)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(self.state.compacted + 1, max(self.revisions)))
        self._both(lambda state: state.compact(revision))

    @rule(changes=st.integers(1, 3))
    def sweep(self, changes: int) -> None:
        self.state.sweep(changes)

    @precondition(lambda self: self.view is None)
    @rule()
    def look(self) -> None:
        self.view = self.state.view()
        self.reading = (self.view.batches(), [], contents(self.twin.view()))

    @precondition(lambda self: self.view is not None)
    @rule()
    def look_on(self) -> None:
        assert self.view is not None
        assert self.reading is not None
        batches, seen, wanted = self.reading
        batch = next(batches, None)
        seen += batch or []
        if batch is None:
            assert seen == wanted
            self.view.close()
            self.view = None

    @rule()
    def restart(self) -> None:
        state = self.state
        head = snapshot.Head.of(state, index=9, term=3, cluster="c")
        with TemporaryDirectory() as folder, state.view() as view:
            capture = snapshot.Capture(head, state.copy_of_parts(), list(view.batches()))
            path = snapshot.write(Path(folder), capture)
            assert snapshot.verify(path) == head
            loaded, self.state = snapshot.load(path)
        assert loaded == head

    @invariant()
    def both_are_the_same(self) -> None:
        state, twin = self.state, self.twin
        records = contents(state.view())
        assert records == contents(twin.view())
        assert state.bytes == twin.bytes == sum(record.size for record in records)
        assert state.hash.value == twin.hash.value
        for revision in range(max(1, state.compacted), state.revision + 1):
            assert digest(state.view(revision)) == digest(twin.view(revision))

    def teardown(self) -> None:
        if self.view is not None:
            self.view.close()
        assert any(not self.state.sweep(3) for _ in range(1000))
        self.both_are_the_same()

    @invariant()
    def every_readable_revision_is_right(self) -> None:
        for revision in range(max(1, self.state.compacted), max(self.revisions) + 1):
            request = rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
            answer = self.state.range(request)
            assert {kv.key: kv.value for kv in answer.kvs} == self.revisions[revision]
            assert answer.count == len(self.revisions[revision])

    @invariant()
    def a_watch_sees_every_change_once_and_in_order(self) -> None:
        start = max(2, self.state.compacted)
        watch = watchers.Watch(id=0, key=b"\0", range_end=b"\0", start=start, pending=start)
        changes: list[mvcc.Change] = []
        while watch.pending is not None:
            changes += watchers.collect(watch, self.state.history, changes_max=2, bytes_max=1 << 20, scan_max=3).changes
        got = [(c.record.mod_revision, c.record.key, c.record.value if c.record.version else None) for c in changes]
        assert got == [event for event in self.events if event[0] >= start]

    @invariant()
    def leases_hold_their_keys(self) -> None:
        for lease, keys in self.leases.items():
            assert self.state.leases.require(lease).keys == keys


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
