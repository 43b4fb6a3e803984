"""A member with one mistake in it: `python -m robustness.mistaken MISTAKE` and the store's own flags. For tests only.

A checker that does not find these finds nothing. `step N` is no mistake but an end: the process is killed at its Nth
call of the disk, before or after it; its log has small segments, so that it is often between two of them.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from raftsman.store import __main__ as store
from raftsman.store import wal
from raftsman.store.mvcc import watchers
from raftsman.store.raft.member import Settings
from raftsman.store.replica import Replica
from raftsman.store.server import events
from raftsman.store.wal.disk import File, Real
from raftsman.store.wal.log import SECTOR_BYTES

WRITTEN_BACK_S = 2.0
DROPPED_EVERY = 25
SMALL_SEGMENT_BYTES = 64 << 10
DISK_CALLS = (
    "create", "open", "read", "allocate", "write_at", "sync_data", "sync", "sync_folder", "make_folder", "rename",
    "unlink",
)  # fmt: skip
STEP = "step "


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


def die_at(step: int) -> None:
    """Some sectors of a write may be there."""
    left = step
    lock = threading.Lock()

    def counted(name: str) -> None:
        original: Any = getattr(Real, name)

        def call(self: Real, *arguments: Any, **named: Any) -> Any:
            nonlocal left
            with lock:
                left -= 1
                last = left == 0
            if not last:
                return original(self, *arguments, **named)
            if name == "write_at":
                file, data = arguments
                end = (named["at"] + random.randrange(len(data) + 1)) // SECTOR_BYTES * SECTOR_BYTES
                original(self, file, data[: max(0, end - named["at"])], **named)
            elif random.random() < 0.5:
                original(self, *arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        setattr(Real, name, call)

    for name in DISK_CALLS:
        counted(name)
    wal.SEGMENT_BYTES = SMALL_SEGMENT_BYTES
    Settings.margin_bytes = property(lambda self: SMALL_SEGMENT_BYTES)  # type: ignore[assignment]


MISTAKES = {"stale reads": stale_reads, "no sync": no_sync, "dropped event": dropped_event}


def command(mistake: str) -> tuple[str, ...]:
    """The words that start such a member."""
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(tests), str(tests / "store"), os.environ.get("PYTHONPATH"))))
    return ("env", f"PYTHONPATH={paths}", sys.executable, "-m", "robustness.mistaken", mistake)


def main() -> int:
    name = sys.argv.pop(1)
    if name.startswith(STEP):
        die_at(int(name.removeprefix(STEP)))
    else:
        MISTAKES[name]()
    return store.main()


if __name__ == "__main__":
    sys.exit(main())
