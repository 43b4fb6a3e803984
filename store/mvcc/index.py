"""Keys in order, each with the records that readers may still ask for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter

from sortedcontainers import SortedList

from .records import Record

FROM_KEY = b"\0"
_mod_revision = attrgetter("mod_revision")


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
        self._histories: dict[bytes, list[Record]] = {}
        self._keys: SortedList[bytes] = SortedList()
        self._live: SortedList[bytes] = SortedList()

    def __len__(self) -> int:
        return len(self._live)

    def newest(self, key: bytes) -> Record | None:
        """The live record of a key, None when there is none or it was deleted."""
        history = self._histories.get(key)
        return history[-1] if history and history[-1].version else None

    def add(self, record: Record) -> Record | None:
        """Take in a write; answers the live record that it replaced."""
        history = self._histories.get(record.key)
        if history is None:
            self._histories[record.key] = [record]
            self._keys.add(record.key)
            previous = None
        else:
            previous = history[-1] if history[-1].version else None
            history.append(record)
        if record.version and previous is None:
            self._live.add(record.key)
        elif not record.version and previous is not None:
            self._live.remove(record.key)
        return previous

    def count(self, key: bytes, range_end: bytes) -> int:
        """How many live keys a range covers."""
        if not range_end:
            return 1 if self.newest(key) else 0
        low: int = self._live.bisect_left(key)
        high: int = len(self._live) if range_end == FROM_KEY else self._live.bisect_left(range_end)
        return max(0, high - low)

    def live(self, key: bytes, range_end: bytes) -> Iterator[Record]:
        """The live records of a range, by key."""
        if not range_end:
            record = self.newest(key)
            if record:
                yield record
            return
        for found in _keys_between(self._live, key, range_end):
            yield self._histories[found][-1]

    def at(self, key: bytes, range_end: bytes, revision: int) -> Iterator[Record]:
        """The records of a range as they were at a revision, by key."""
        keys = _keys_between(self._keys, key, range_end) if range_end else iter((key,))
        for found in keys:
            history = self._histories.get(found, ())
            place = bisect_right(history, revision, key=_mod_revision)
            if place and history[place - 1].version:
                yield history[place - 1]

    def compact(self, key: bytes, revision: int) -> None:
        """Forget what a key was before `revision`; forget the key if it was deleted before.

        A delete at `revision` itself stays: its change can still be watched.
        """
        history = self._histories.get(key)
        if history is None:
            return
        place = bisect_right(history, revision, key=_mod_revision)
        keep_from = max(0, place - 1)
        if place and not history[place - 1].version and history[place - 1].mod_revision < revision:
            keep_from = place
        del history[:keep_from]
        if not history:
            del self._histories[key]
            self._keys.remove(key)

    def records(self) -> Iterator[Record]:
        """Everything, by key and then by revision."""
        for key in self._keys:
            yield from self._histories[key]

    def copy_of_histories(self) -> list[list[Record]]:
        """The same, as lists that later writes do not touch."""
        return [list(self._histories[key]) for key in self._keys]


def _keys_between(keys: SortedList[bytes], key: bytes, range_end: bytes) -> Iterator[bytes]:
    maximum = None if range_end == FROM_KEY else range_end
    if maximum is not None and maximum <= key:
        return iter(())
    return iter(keys.irange(key, maximum, inclusive=(True, False)))
