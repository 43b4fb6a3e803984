"""The changes of every revision since the last compaction, in order: what watches read."""

from __future__ import annotations

from collections.abc import Iterator

from .records import Change


class History:
    """Changes by revision, from `first` on.

    After the example of `index.KeyIndex`: first 2, [a@2] [b@3] [a@4, was a@2] [b@5 deleted, was b@3]. Compacting at 4
    leaves first 4, [a@4] [b@5 deleted]: the changes of the compacted revision itself can still be read.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._revisions: list[tuple[Change, ...]] = []

    @property
    def last(self) -> int:
        """The newest revision held; `first - 1` when empty."""
        return self.first + len(self._revisions) - 1

    def append(self, changes: tuple[Change, ...]) -> None:
        """The changes of revision `last + 1`."""
        self._revisions.append(changes)

    def at(self, revision: int) -> tuple[Change, ...]:
        return self._revisions[revision - self.first]

    def since(self, revision: int) -> Iterator[tuple[int, tuple[Change, ...]]]:
        """(revision, changes) from a revision on, which must not be older than `first`."""
        assert revision >= self.first, (revision, self.first)
        for place in range(revision - self.first, len(self._revisions)):
            yield self.first + place, self._revisions[place]

    def drop_before(self, revision: int) -> None:
        """Forget revisions below `revision`."""
        count = max(0, min(revision - self.first, len(self._revisions)))
        del self._revisions[:count]
        self.first += count
