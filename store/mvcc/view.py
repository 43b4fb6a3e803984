"""The state as it was at one moment, read slice by slice while the live one goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType

from .index import KeyIndex
from .records import Record

SLICE_RECORDS = 500
SLICE_BYTES = 1 << 20


class View:
    """What an index shows at `revision` after compaction at `compacted`; a context manager.

    While a view is open nothing is swept, so that records which a later compaction makes useless are still found.
    """

    def __init__(self, index: KeyIndex, *, revision: int, compacted: int, release: Callable[[], None]) -> None:
        self.revision = revision
        self.compacted = compacted
        self._index = index
        self._release: Callable[[], None] | None = release

    def __enter__(self) -> View:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None

    def batches(self) -> Iterator[list[Record]]:
        """Records by key and then by revision, SLICE_RECORDS or SLICE_BYTES at a time; a key is never split.

        The state may change between one batch and the next.
        """
        last = None
        while True:
            assert self._release is not None, "a closed view"
            batch: list[Record] = []
            size = 0
            keys = self._index.keys_after(last, SLICE_RECORDS)
            for key in keys:
                for record in self._index.kept(key, self.revision, compacted=self.compacted):
                    batch.append(record)
                    size += len(record.value)
                last = key
                if size >= SLICE_BYTES or len(batch) >= SLICE_RECORDS:
                    break
            if batch:
                yield batch
            if not keys:
                return
