"""Who watches what, and how far each is. Pure: told what changed, answers who must be woken and what to send.

A watch keeps no events. It keeps the first revision that concerns it and was not sent, and reads the history from there
when its reader is ready: a slow reader costs nothing but its own delay, and is told so when compaction overtakes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .history import History
from .index import FROM_KEY, contains
from .records import Change


@dataclass(eq=False, slots=True)
class Watch:
    """One watch. `pending` is the first revision to look at, None when everything that concerns it was sent.

    `told` is its reader's: whether something was sent lately.
    """

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
    told: bool = False

    def wants(self, change: Change) -> bool:
        """Whether a change of a key that is watched concerns this watch."""
        record = change.record
        return (self.puts if record.version else self.deletes) and record.mod_revision >= self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes to send, whole revisions in order; `revision` is the last one looked at, `last` the newest there was."""

    changes: list[Change]
    revision: int
    last: int


@dataclass(eq=False, slots=True)
class _Group:
    """The watches of one range, woken in the order in which they came."""

    key: bytes
    range_end: bytes
    watches: dict[Watch, None] = field(default_factory=dict)


class Watchers:
    """All watches of a member, found by the keys that change.

    Watches of one range are a group. A group is filed under the longest prefix that all its keys share, so that a
    changed key asks for its own prefixes, of those lengths that are in use, instead of for every range:

        watch pods/..pods0   under "pods/"    put pods/a looks up "", "pods/" and "pods/a"
        watch pods/a         under "pods/a"
        watch m..\\0         under ""
    """

    def __init__(self) -> None:
        self._filed: dict[bytes, dict[tuple[bytes, bytes], _Group]] = {}
        self._lengths: Counter[int] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, watch: Watch) -> None:
        prefix = _shared_prefix(watch.key, watch.range_end)
        groups = self._filed.get(prefix)
        if groups is None:
            groups = self._filed[prefix] = {}
            self._lengths[len(prefix)] += 1
        group = groups.setdefault((watch.key, watch.range_end), _Group(watch.key, watch.range_end))
        group.watches[watch] = None
        self._count += 1

    def remove(self, watch: Watch) -> None:
        prefix = _shared_prefix(watch.key, watch.range_end)
        groups = self._filed.get(prefix, {})
        group = groups.get((watch.key, watch.range_end))
        if group is None or watch not in group.watches:
            return
        del group.watches[watch]
        self._count -= 1
        if not group.watches:
            del groups[watch.key, watch.range_end]
        if not groups:
            del self._filed[prefix]
            self._lengths[len(prefix)] -= 1
            if not self._lengths[len(prefix)]:
                del self._lengths[len(prefix)]

    def all(self) -> Iterator[Watch]:
        for groups in self._filed.values():
            for group in groups.values():
                yield from group.watches

    def changed(self, history: History, *, first: int, last: int) -> list[Watch]:
        """Note revisions first..last; answers the watches that now have something to send and had nothing before."""
        if not self._count:
            return []
        concerned: dict[_Group, list[Change]] = {}
        for revision in range(first, last + 1):
            for change in history.at(revision):
                for group in self._groups(change.record.key):
                    concerned.setdefault(group, []).append(change)
        woken: list[Watch] = []
        for group, changes in concerned.items():
            for watch in group.watches:
                if watch.pending is None:
                    wanted = next(filter(watch.wants, changes), None)
                    if wanted is not None:
                        watch.pending = wanted.record.mod_revision
                        woken.append(watch)
        return woken

    def _groups(self, key: bytes) -> Iterable[_Group]:
        filed = self._filed
        for length in self._lengths:
            groups = filed.get(key[:length])
            if groups is not None and length <= len(key):
                for group in groups.values():
                    if contains(group.key, group.range_end, key):
                        yield group


def _shared_prefix(key: bytes, range_end: bytes) -> bytes:
    """The longest prefix that every key of a range has for sure."""
    if not range_end:
        return key
    if range_end == FROM_KEY:
        return b""
    if range_end == after_prefix(key):
        return key
    length = 0
    for ours, theirs in zip(key, range_end, strict=False):
        if ours != theirs:
            break
        length += 1
    return key[:length]


def after_prefix(prefix: bytes) -> bytes:
    """The end of the range that a prefix is; from prefix on, when no key comes after it."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else FROM_KEY


def collect(watch: Watch, history: History, *, changes_max: int, bytes_max: int, scan_max: int) -> Batch:
    """What a pending watch sends next: whole revisions until a bound is passed. Moves the watch on.

    At most `scan_max` revisions are looked at: a batch may be empty though the watch is still pending.
    """
    assert watch.pending is not None
    key, range_end = watch.key, watch.range_end
    changes: list[Change] = []
    size = 0
    last = history.last
    looked = end = min(last, watch.pending + scan_max - 1)
    for revision, of_revision in history.between(watch.pending, end):
        for change in of_revision:
            if contains(key, range_end, change.record.key) and watch.wants(change):
                changes.append(change)
                size += len(change.record.key) + len(change.record.value)
                if watch.prev_kv and change.previous is not None:
                    size += len(change.previous.value)
        if len(changes) >= changes_max or size >= bytes_max:
            looked = revision
            break
    watch.pending = looked + 1 if looked < last else None
    return Batch(changes, looked, last)
