"""The changes of every revision since the last compaction, in order: what watches read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from .records import Change


class History:
    """Changes by revision, from `first` on, and what compacting at a revision makes of no use.

    After the example of `index.KeyIndex`: first 2, [a@2] [b@3] [a@4, was a@2] [b@5 deleted, was b@3]. Forgetting what
    is before 4 leaves first 4, [a@4] [b@5 deleted]: the changes of a compacted revision itself can still be read.
    Forgetting takes effect at once; `free` gives the memory back in slices. What is forgotten and not yet freed, from
    `base` on, `at` still answers for.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.base = first
        self._entries: list[Change | tuple[Change, ...] | None] = []  # by revision, from base on
        self._useless = array("Q")
        self._total = 0
        self._freed = 0

    @property
    def last(self) -> int:
        """The newest revision held; `first - 1` when empty."""
        return self.base + len(self._entries) - 1

    def append(self, changes: Sequence[Change], *, useless: int) -> None:
        """The changes of revision `last + 1`, and the bytes that no reader needs once it is compacted."""
        if len(changes) == 1:
            self.append_one(changes[0], useless=useless)
            return
        self._entries.append(tuple(changes))
        self._total += useless
        self._useless.append(self._total)

    def append_one(self, change: Change, *, useless: int) -> None:
        """`append` of a revision that changed one key."""
        self._entries.append(change)
        self._total += useless
        self._useless.append(self._total)

    def at(self, revision: int) -> tuple[Change, ...]:
        entry = self._entries[revision - self.base]
        assert entry is not None, (revision, self.first)
        return entry if isinstance(entry, tuple) else (entry,)

    def since(self, revision: int) -> Iterator[tuple[int, tuple[Change, ...]]]:
        """(revision, changes) from a revision on, which must not be older than `first`."""
        return self.between(revision, self.last)

    def between(self, revision: int, last: int) -> Iterator[tuple[int, tuple[Change, ...]]]:
        """(revision, changes) from a revision on, which must not be older than `first`, to `last`."""
        assert revision >= self.first, (revision, self.first)
        return ((place, self.at(place)) for place in range(revision, last + 1))

    def useless(self, revision: int) -> int:
        """Bytes of what is of no use when everything up to a revision is compacted, counted from any one place."""
        place = revision - self.base
        return self._useless[place] if place >= 0 else 0

    def within(self, bytes_max: int, *, revision: int) -> int:
        """The oldest revision from which on to `revision` at most `bytes_max` became of no use."""
        place = revision - self.base
        if place < 0:
            return revision
        return self.base + bisect_left(self._useless, self._useless[place] - bytes_max, 0, place + 1)

    def forget_before(self, revision: int) -> None:
        """Revisions below are not read any more."""
        self.first = max(self.first, min(revision, self.last + 1))

    def unfreed(self, revision: int) -> bool:
        """Whether `free` has something to do."""
        return min(self.first, revision) > self.base + self._freed

    def free(self, revision: int, *, revisions_max: int) -> bool:
        """Give back the memory of what is forgotten and below a revision; whether there is more."""
        end = min(self.first, revision) - self.base
        stop = min(end, self._freed + revisions_max)
        if stop > self._freed:
            self._entries[self._freed : stop] = [None] * (stop - self._freed)
            self._freed = stop
        if self._freed > len(self._entries) // 2:
            # The list moves at most twice what it gave back. The last one stays: what comes is counted from there.
            keep = min(self._freed, len(self._entries) - 1)
            del self._entries[:keep]
            del self._useless[:keep]
            self.base += keep
            self._freed -= keep
        return stop < end
