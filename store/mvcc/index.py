"""Keys in order, each with the records that readers may still ask for."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from operator import attrgetter
from typing import TypeAlias

from sortedcontainers import SortedList

from .records import Change, Record

FROM_KEY = b"\0"
TUPLE_MAX = 16
_mod_revision = attrgetter("mod_revision")
_Older: TypeAlias = tuple[Record, ...] | list[Record]
"""What came before a key's newest record, oldest first. Up to TUPLE_MAX a tuple, which the garbage collector learns to
pass over; beyond, a list, so that a key which changes often does not cost more every time."""


def contains(key: bytes, range_end: bytes, candidate: bytes) -> bool:
    """Whether etcd's (key, range_end) covers candidate: "" is one key, "\\0" everything from key on."""
    if not range_end:
        return candidate == key
    return candidate >= key and (range_end == FROM_KEY or candidate < range_end)


class KeyIndex:
    """Every key that was written and not yet compacted away.

    After put a (revision 2), put b (3), put a (4), delete b (5):

        a: [rev 2 version 1] [rev 4 version 2]          live
        b: [rev 3 version 1] [rev 5 tombstone]

    At revision 3 a reader sees a@2 and b@3, at 5 only a@4. Compaction at 5 keeps what revision 5 shows and newer:

        a: [rev 4 version 2]                            live
    """

    def __init__(self) -> None:
        self._newest: dict[bytes, Record] = {}
        self._older: dict[bytes, _Older] = {}
        self._live: SortedList[bytes] = SortedList()
        self._dead: SortedList[bytes] = SortedList()  # keys that end in a tombstone

    def __len__(self) -> int:
        return len(self._live)

    def newest(self, key: bytes) -> Record | None:
        """The live record of a key, None when there is none or it was deleted."""
        record = self._newest.get(key)
        return record if record is not None and record.version else None

    def add(self, record: Record) -> Record | None:
        """Take in a write; answers the live record that it replaced."""
        key = record.key
        before = self._newest.get(key)
        self._newest[key] = record
        if before is None:
            (self._live if record.version else self._dead).add(key)
            return None
        older = self._older.get(key, ())
        if type(older) is list:
            older.append(before)
        else:
            self._older[key] = (*older, before) if len(older) < TUPLE_MAX else [*older, before]
        if before.version:
            if not record.version:
                self._live.remove(key)
                self._dead.add(key)
            return before
        if record.version:
            self._dead.remove(key)
            self._live.add(key)
        return None

    def put(self, key: bytes, value: bytes, revision: int, lease: int) -> Change:
        """`add` of the only write of a revision, a put, which it makes a record of."""
        before = self._newest.get(key)
        if before is None or not before.version:
            record = Record(key, value, revision, revision, 0, 1, lease)
            return Change(record, self.add(record))
        key = before.key
        record = Record(key, value, before.create_revision, revision, 0, before.version + 1, lease)
        self._newest[key] = record
        older = self._older.get(key, ())
        if type(older) is list:
            older.append(before)
        else:
            self._older[key] = (*older, before) if len(older) < TUPLE_MAX else [*older, before]
        return Change(record, before)

    def load(self, records: Sequence[Record]) -> None:
        """Fill a new index. Records come by key and then by revision."""
        newest = self._newest = {record.key: record for record in records}
        if len(newest) < len(records):
            several: dict[bytes, list[Record]] = {}
            for record, after in pairwise(records):
                if record.key == after.key:
                    several.setdefault(record.key, []).append(record)
            for key, older in several.items():
                self._older[key] = tuple(older) if len(older) <= TUPLE_MAX else older
        self._live = SortedList([key for key, record in newest.items() if record.version])
        self._dead = SortedList([key for key, record in newest.items() if not record.version])

    def count(self, key: bytes, range_end: bytes) -> int:
        """How many live keys a range covers."""
        if not range_end:
            return 1 if self.newest(key) else 0
        low: int = self._live.bisect_left(key)
        high: int = len(self._live) if range_end == FROM_KEY else self._live.bisect_left(range_end)
        return max(0, high - low)

    def live(self, key: bytes, range_end: bytes) -> Iterator[Record]:
        """The live records of a range, by key."""
        if range_end:
            return map(self._newest.__getitem__, _keys_between(self._live, key, range_end))
        record = self.newest(key)
        return iter((record,) if record is not None else ())

    def backwards(self, key: bytes, range_end: bytes) -> Iterator[Record]:
        """The live records of a range, the last key first."""
        if not range_end:
            return self.live(key, range_end)
        return map(self._newest.__getitem__, _keys_between(self._live, key, range_end, reverse=True))

    def at(self, key: bytes, range_end: bytes, revision: int) -> Iterator[Record]:
        """The records of a range as they were at a revision, by key."""
        if not range_end:
            keys: Iterable[bytes] = (key,) if key in self._newest else ()
        else:
            live, dead = (_keys_between(keys, key, range_end) for keys in (self._live, self._dead))
            keys = heapq.merge(live, dead)
        for found in keys:
            record = self._newest[found]
            if record.mod_revision > revision:
                older = self._older.get(found, ())
                place = bisect_right(older, revision, key=_mod_revision)
                if not place:
                    continue
                record = older[place - 1]
            if record.version:
                yield record

    def compact(self, key: bytes, revision: int) -> None:
        """Forget what a key was before `revision`; forget the key if it was deleted before.

        A delete at `revision` itself stays: its change can still be watched.
        """
        newest = self._newest.get(key)
        if newest is None:
            return
        kept = _kept(newest, self._older.get(key, ()), revision)
        if len(kept) > 1:
            self._older[key] = kept[:-1] if len(kept) - 1 <= TUPLE_MAX else list(kept[:-1])
            return
        self._older.pop(key, None)
        if not kept:
            del self._newest[key]
            self._dead.remove(key)

    # -- everything, while it changes

    def keys_after(self, key: bytes | None, count: int) -> list[bytes]:
        """The next keys in order, deleted ones too: `count`, or all that there are."""
        live, dead = (
            list(islice(keys.irange(key, inclusive=(False, True)), count)) for keys in (self._live, self._dead)
        )
        return sorted(live + dead)[:count] if dead else live

    def kept(self, key: bytes, revision: int, *, compacted: int) -> Sequence[Record]:
        """The records of a key up to a revision, without those that compaction made useless, swept or not."""
        newest, older = self._newest[key], self._older.get(key, ())
        if not older and newest.version and newest.mod_revision <= revision:
            return (newest,)
        if newest.mod_revision > revision:
            older = tuple(older[: bisect_right(older, revision, key=_mod_revision)])
            if not older:
                return ()
            newest, older = older[-1], older[:-1]
        return _kept(newest, older, compacted)


def _kept(newest: Record, older: _Older, revision: int) -> tuple[Record, ...]:
    """What compaction at a revision leaves of a key."""
    if newest.mod_revision <= revision:
        return (newest,) if newest.version or newest.mod_revision == revision else ()
    if not older:
        return (newest,)
    place = bisect_right(older, revision, key=_mod_revision)
    if place and (older[place - 1].version or older[place - 1].mod_revision == revision):
        place -= 1
    return (*older[place:], newest)


def _keys_between(keys: SortedList[bytes], key: bytes, range_end: bytes, *, reverse: bool = False) -> Iterator[bytes]:
    maximum = None if range_end == FROM_KEY else range_end
    if maximum is not None and maximum <= key:
        return iter(())
    return iter(keys.irange(key, maximum, inclusive=(True, False), reverse=reverse))
