"""A member with one mistake in it: `python -m robustness.mistaken MISTAKE` and the store's own flags. For tests only.

A checker that does not find these finds nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from raftsman.store import __main__ as store
from raftsman.store.mvcc import watchers
from raftsman.store.replica import Replica
from raftsman.store.server import events
from raftsman.store.wal.disk import File, Real

WRITTEN_BACK_S = 2.0
DROPPED_EVERY = 25


def stale_reads() -> None:
    """A read is answered from whatever is here."""

    async def at_once(self: Replica) -> None:
        return

    Replica.up_to_date = at_once  # type: ignore[method-assign]


class _Cache:
    """What was written and is not on the disk yet. Killing the process is the power loss that takes it."""

    def __init__(self) -> None:
        self._writes: deque[tuple[float, File, bytes, int]] = deque()
        self._lock = threading.Lock()
        threading.Thread(target=self._write_back, daemon=True).start()

    def add(self, file: File, data: bytes, at: int) -> None:
        with self._lock:
            self._writes.append((time.monotonic() + WRITTEN_BACK_S, file, bytes(data), at))

    def flush(self, *, due: float = float("inf")) -> None:
        with self._lock:
            while self._writes and self._writes[0][0] <= due:
                _, file, data, at = self._writes.popleft()
                if not file.closed:
                    _write_at(Real(), file, data, at=at)

    def _write_back(self) -> None:
        while True:
            time.sleep(0.1)
            self.flush(due=time.monotonic())


_write_at = Real.write_at


def no_sync() -> None:
    """The disk says that it synced, and keeps what was written in its memory for a while."""
    cache = _Cache()

    def write_at(self: Real, file: File, data: bytes, *, at: int) -> None:
        cache.add(file, data, at)

    def sync(self: Real, file: File) -> None:
        return

    def after_flush(name: str) -> None:
        original: Any = getattr(Real, name)

        def flushed(self: Real, *arguments: Any, **named: Any) -> Any:
            cache.flush()
            return original(self, *arguments, **named)

        setattr(Real, name, flushed)

    Real.write_at = write_at  # type: ignore[method-assign]
    Real.sync = Real.sync_data = sync  # type: ignore[method-assign]
    for name in ("open", "read", "read_at", "rename"):
        after_flush(name)


def dropped_event() -> None:
    """Now and then a watcher is not told of a change."""
    collect = watchers.collect

    def forgetful(*arguments: Any, **named: Any) -> watchers.Batch:
        batch = collect(*arguments, **named)
        kept = [change for change in batch.changes if change.record.mod_revision % DROPPED_EVERY]
        return watchers.Batch(kept, batch.revision, batch.last)

    watchers.collect = forgetful
    assert events.watchers is watchers, "the server looks it up where it was replaced"


MISTAKES = {"stale reads": stale_reads, "no sync": no_sync, "dropped event": dropped_event}


def command(mistake: str) -> tuple[str, ...]:
    """The words that start such a member."""
    tests = Path(__file__).parents[1]
    paths = f"PYTHONPATH={tests}:{tests / 'store'}"
    return ("env", paths, sys.executable, "-m", "robustness.mistaken", mistake)


if __name__ == "__main__":
    MISTAKES[sys.argv.pop(1)]()
    sys.exit(store.main())
