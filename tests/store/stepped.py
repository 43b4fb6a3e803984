"""A member that kills itself at a named step: `python stepped.py STEP` and the store's own flags. For tests only.

A step is "none", or what is done to which file, when and how often before: "rename wal-*.log after 1" dies behind the
first such call of the disk. Log segments are small and followers may lag little, so that every step comes soon.
"""

from __future__ import annotations

import fnmatch
import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from raftsman.store import __main__ as store
from raftsman.store import wal
from raftsman.store.raft import member
from raftsman.store.wal.disk import Real

NONE = "none"
SEGMENT_BYTES = 64 << 10
TRAILING_ENTRIES = 5
_LAST_NAMED = "rename"
"""Its second path is the new name."""


def small_segments() -> None:
    """Segments of the log, and what they keep free, are small."""
    wal.SEGMENT_BYTES = SEGMENT_BYTES
    member.Settings.margin_bytes = property(lambda self: SEGMENT_BYTES)  # type: ignore[assignment]


def _name(call: str, arguments: tuple[Any, ...]) -> str:
    """Of the file or folder that a call is about."""
    about = arguments[1] if call == _LAST_NAMED else arguments[0]
    if isinstance(about, io.RawIOBase):
        about = Path(f"/proc/self/fd/{about.fileno()}").readlink()
    return Path(about).name


def die_at(step: str) -> None:
    call, pattern, when, count = step.split()
    left, lock = int(count), threading.Lock()
    original: Any = getattr(Real, call)

    def stepped(self: Real, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        with lock:
            left -= fnmatch.fnmatchcase(_name(call, arguments), pattern)
            last = left == 0
        if last and when == "after":
            original(self, *arguments, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments, **named)

    setattr(Real, call, stepped)


def main() -> int:
    step = sys.argv.pop(1)
    small_segments()
    member.TRAILING_ENTRIES_MAX = TRAILING_ENTRIES
    if step != NONE:
        die_at(step)
    return store.main()


if __name__ == "__main__":
    sys.exit(main())
