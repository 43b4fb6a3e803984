"""The events of watches as bytes, made once for all watches that are sent the same.

Bounds: BATCH_CHANGES and BATCH_BYTES a message (a revision is never split), SCAN_REVISIONS looked at before others have
their turn, SHARED_MAX batches and SHARED_BYTES_MAX of them kept for who comes next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.store.mvcc import watchers
from raftsman.store.mvcc.history import History
from raftsman.store.mvcc.records import Change

from . import ready

BATCH_CHANGES = 1_000
BATCH_BYTES = 1 << 20
SCAN_REVISIONS = 5_000
SHARED_MAX = 1_000
SHARED_BYTES_MAX = 8 << 20
FRAGMENT_BYTES = 3 << 19


Response = rpc_pb2.WatchResponse | ready.WatchResponse


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events as the end of a WatchResponse, "" for none; `revision` is the last one looked at."""

    events: bytes
    revision: int
    last: int


_Name = tuple[bytes, bytes, int, bool, bool, bool]


class Shared:
    """What was sent lately, by what was asked."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Name, Encoded] = OrderedDict()
        self._bytes = 0

    def next(self, watch: watchers.Watch, history: History) -> Encoded:
        """What a pending watch sends next; moves it on."""
        assert watch.pending is not None
        name = (watch.key, watch.range_end, watch.pending, watch.prev_kv, watch.puts, watch.deletes)
        kept = self._kept.get(name)
        if kept is not None and kept.last == history.last:
            watch.pending = kept.revision + 1 if kept.revision < kept.last else None
            return kept
        batch = collect(watch, history)
        encoded = Encoded(_message(watch, batch.changes).SerializeToString(), batch.revision, batch.last)
        self._keep(name, encoded)
        return encoded

    def _keep(self, name: _Name, encoded: Encoded) -> None:
        before = self._kept.pop(name, None)
        self._bytes += len(encoded.events) - (len(before.events) if before else 0)
        self._kept[name] = encoded
        while self._bytes > SHARED_BYTES_MAX or len(self._kept) > SHARED_MAX:
            self._bytes -= len(self._kept.popitem(last=False)[1].events)

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


def collect(watch: watchers.Watch, history: History) -> watchers.Batch:
    return watchers.collect(watch, history, changes_max=BATCH_CHANGES, bytes_max=BATCH_BYTES, scan_max=SCAN_REVISIONS)


def fragments(watch: watchers.Watch, changes: list[Change]) -> Iterator[rpc_pb2.WatchResponse]:
    """Messages that hold the changes in order, none larger than FRAGMENT_BYTES unless one event is."""
    piece = rpc_pb2.WatchResponse()
    size = 0
    for event in _message(watch, changes).events:
        if piece.events and size + event.ByteSize() > FRAGMENT_BYTES:
            piece.fragment = True
            yield piece
            piece, size = rpc_pb2.WatchResponse(), 0
        piece.events.append(event)
        size += event.ByteSize()
    yield piece


def _message(watch: watchers.Watch, changes: list[Change]) -> rpc_pb2.WatchResponse:
    message = rpc_pb2.WatchResponse()
    for change in changes:
        event = message.events.add()
        if not change.record.version:
            event.type = kv_pb2.Event.DELETE
        change.record.fill(event.kv)
        if watch.prev_kv and change.previous is not None:
            change.previous.fill(event.prev_kv)
    return message
