"""Who watches what, and how far each is. Pure: told what changed, answers who must be woken and what to send.

A watch keeps no events. It keeps the first revision that concerns it and was not sent, and reads the history from there
when its reader is ready: a slow reader costs nothing but its own delay, and is told so when compaction overtakes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .history import History
from .index import contains
from .records import Change


@dataclass(eq=False, slots=True)
class Watch:
    """One watch. `pending` is the first revision to look at, None when everything that concerns it was sent."""

    id: int
    key: bytes
    range_end: bytes
    start: int
    prev_kv: bool = False
    puts: bool = True
    deletes: bool = True
    progress: bool = False
    fragment: bool = False
    pending: int | None = None

    def wants(self, change: Change) -> bool:
        record = change.record
        if not (self.puts if record.version else self.deletes) or record.mod_revision < self.start:
            return False
        return contains(self.key, self.range_end, record.key)


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes to send, whole revisions in order; `revision` is the last one looked at."""

    changes: list[Change]
    revision: int


@dataclass(eq=False, slots=True)
class Watchers:
    """All watches of a member, by the key or the range that they watch."""

    _by_key: dict[bytes, set[Watch]] = field(default_factory=dict)
    _ranges: set[Watch] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(map(len, self._by_key.values())) + len(self._ranges)

    def add(self, watch: Watch) -> None:
        if watch.range_end:
            self._ranges.add(watch)
        else:
            self._by_key.setdefault(watch.key, set()).add(watch)

    def remove(self, watch: Watch) -> None:
        if watch.range_end:
            self._ranges.discard(watch)
            return
        watches = self._by_key.get(watch.key, set())
        watches.discard(watch)
        if not watches:
            self._by_key.pop(watch.key, None)

    def all(self) -> Iterator[Watch]:
        for watches in self._by_key.values():
            yield from watches
        yield from self._ranges

    def changed(self, history: History, *, first: int, last: int) -> set[Watch]:
        """Note revisions first..last; answers the watches that now have something to send."""
        woken: set[Watch] = set()
        for revision in range(first, last + 1):
            for change in history.at(revision):
                for watch in (*self._by_key.get(change.record.key, ()), *self._ranges):
                    if watch.pending is None and watch.wants(change):
                        watch.pending = revision
                        woken.add(watch)
        return woken


def collect(watch: Watch, history: History, *, changes_max: int, bytes_max: int) -> Batch:
    """What a pending watch sends next: whole revisions until a bound is passed. Moves the watch on."""
    assert watch.pending is not None
    changes: list[Change] = []
    size = 0
    for revision, of_revision in history.since(watch.pending):
        for change in of_revision:
            if watch.wants(change):
                changes.append(change)
                size += len(change.record.key) + len(change.record.value)
                if watch.prev_kv and change.previous is not None:
                    size += len(change.previous.value)
        if len(changes) >= changes_max or size >= bytes_max:
            watch.pending = revision + 1 if revision < history.last else None
            return Batch(changes, revision)
    watch.pending = None
    return Batch(changes, history.last)
