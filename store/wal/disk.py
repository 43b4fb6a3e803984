"""Files and folders as the log and the snapshots use them. The only file of the store that syncs.

Promised is only what a method says. Otherwise a power loss leaves of what was written and not synced anything between
nothing and all, and of a folder that was not synced any mixture of old and new names. `REAL` is the machine's disk; a
simulation puts its own in its place.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Protocol

File = io.RawIOBase
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Whether a call failed for want of space, and may work later."""
    return error.errno in _FULL


class Disk(Protocol):
    """What a disk can do. Everything may raise OSError."""

    def create(self, path: Path) -> File:
        """A new, empty file in place of any that is there, to write and read."""

    def open(self, path: Path, *, writable: bool = False) -> File:
        """A file that is there, at its beginning."""

    def read(self, path: Path) -> bytes:
        """All of a file."""

    def size(self, path: Path) -> int: ...

    def allocate(self, file: File, size: int) -> None:
        """Take `size` bytes for a file now, zeros at first: writing into them never finds the disk full."""

    def read_at(self, file: File, count: int, *, at: int) -> bytes: ...

    def write_at(self, file: File, data: bytes, *, at: int) -> None:
        """Write all of `data`."""

    def sync_data(self, file: File) -> None:
        """When this returns, what was written into a file of this length survives a power loss."""

    def sync(self, file: File) -> None:
        """The same, its length too."""

    def sync_folder(self, folder: Path) -> None:
        """When this returns, the names in the folder are as they were before the call, even after a power loss."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and its parents unless they are there; they survive a power loss."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in the same folder, at once and in place of any file of that name."""

    def unlink(self, path: Path) -> None:
        """Remove a file, if it is there."""

    def list(self, folder: Path, pattern: str) -> list[Path]:
        """The files whose names match, in order; none when the folder is not there."""


class Real:
    """The machine's disk."""

    def create(self, path: Path) -> File:
        return io.FileIO(os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600), "r+b")

    def open(self, path: Path, *, writable: bool = False) -> File:
        return io.FileIO(path, "r+b" if writable else "rb")

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def allocate(self, file: File, size: int) -> None:
        os.posix_fallocate(file.fileno(), 0, size)

    def read_at(self, file: File, count: int, *, at: int) -> bytes:
        return os.pread(file.fileno(), count, at)

    def write_at(self, file: File, data: bytes, *, at: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(file.fileno(), view, at)
            view, at = view[written:], at + written

    def sync_data(self, file: File) -> None:
        os.fdatasync(file.fileno())

    def sync(self, file: File) -> None:
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        if not folder.exists():
            self.make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(folder.parent)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def list(self, folder: Path, pattern: str) -> list[Path]:
        return sorted(folder.glob(pattern))


REAL = Real()
