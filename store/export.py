"""`python -m raftsman.store.export FOLDER`: a poured snapshot on stdin becomes a backup's database on stdout.

A process of its own: sorting and encoding a whole state would hold up the interpreter of the member that serves. It
answers with the size (8 bytes, big-endian) and then the pages. FOLDER takes files without a name, which are gone with
the process, however it ends. Exit code 1 and a sentence on stderr when something is wrong with disk or input.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
from raftsman.store import backup, mvcc, snapshot

NICENESS = 10
SIZE_BYTES = 8
_COPY_BYTES = 1 << 20


def main() -> int:
    os.nice(NICENESS)
    try:
        _export(Path(sys.argv[1]))
    except (OSError, snapshot.SnapshotDamaged, msgspec.DecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _export(folder: Path) -> None:
    head, dumped, records = snapshot.stream(sys.stdin.buffer)
    parts = mvcc.State()
    for name, part in dumped.items():
        parts.parts[name].load(part)
    with tempfile.TemporaryFile(dir=folder) as file:
        size = backup.write(file, head, parts, records, folder=folder)
        file.seek(0)
        sys.stdout.buffer.write(size.to_bytes(SIZE_BYTES, "big"))
        shutil.copyfileobj(file, sys.stdout.buffer, _COPY_BYTES)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
