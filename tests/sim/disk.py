"""A disk that keeps its promises and not one more (see raftsman.store.wal.disk).

What a killed process wrote is there: the machine has it in memory. What a power loss leaves of unsynced writes is
drawn sector by sector, and of names in a folder that was not synced, operation by operation. Every call takes time, may
be the last one of its process, and finds a full disk when the machine's is full.
"""

from __future__ import annotations

import errno
import fnmatch
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .loop import Died, Process, now_here, take_time

SECTOR = 512
CALL_S = 5e-6
SYNC_S = 150e-6


@dataclass(slots=True)
class Write:
    """One write of a file, or one change of a folder's names: when it was made, and when a sync was done with it."""

    made: float
    what: Any
    synced: float = math.inf


@dataclass(eq=False)
class Journalled:
    """What is seen, what is on the platter, and the changes between the two, in order."""

    writes: list[Write] = field(default_factory=list)

    def change(self, what: Any, now: float) -> None:
        self.settle(now)
        self.writes.append(Write(now, what))

    def sync(self, done: float) -> None:
        for write in self.writes:
            write.synced = min(write.synced, done)

    def settle(self, now: float) -> None:
        """What syncs have finished with is on the platter."""
        while self.writes and self.writes[0].synced <= now:
            self.keep(self.writes.pop(0).what)

    def lost(self, now: float) -> list[Any]:
        """What was under way at a power loss; what a process would have done later never happened."""
        self.settle(now)
        under_way = [write.what for write in self.writes if write.made <= now]
        self.writes.clear()
        return under_way

    def keep(self, what: Any) -> None:
        raise NotImplementedError


@dataclass(eq=False)
class Inode(Journalled):
    """One file."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes, *, at: int, now: float) -> None:
        _put(self.seen, data, at)
        self.change((at, bytes(data)), now)

    def keep(self, what: Any) -> None:
        at, data = what
        _put(self.kept, data, at)

    def lose_power(self, random: Random, now: float) -> None:
        """Keep what was synced and, of the rest, what the disk happened to have written."""
        sectors = [piece for at, data in self.lost(now) for piece in _sectors(at, data)]
        for sector in _survivors(sectors, random):
            self.keep(sector)
        self.seen = bytearray(self.kept)


def _put(content: bytearray, data: bytes, at: int) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _sectors(at: int, data: bytes) -> list[tuple[int, bytes]]:
    pieces = []
    place = 0
    while place < len(data):
        border = min(len(data), ((at + place) // SECTOR + 1) * SECTOR - at)
        pieces.append((at + place, data[place:border]))
        place = border
    return pieces


def _survivors(changes: list[Any], random: Random) -> list[Any]:
    style = random.choice(("nothing", "all", "some", "some", "prefix"))
    if style == "nothing":
        return []
    if style == "some":
        return [change for change in changes if random.random() < 0.5]
    return changes[: random.randrange(len(changes) + 1)] if style == "prefix" else changes


Names = dict[str, Inode]


@dataclass(eq=False)
class Folder(Journalled):
    """The names in a folder."""

    seen: Names = field(default_factory=dict)
    kept: Names = field(default_factory=dict)

    def rename(self, operation: Callable[[Names], object], *, now: float) -> None:
        operation(self.seen)
        self.change(operation, now)

    def keep(self, what: Any) -> None:
        what(self.kept)

    def lose_power(self, random: Random, now: float) -> None:
        for operation in _survivors(self.lost(now), random):
            operation(self.kept)
        self.seen = dict(self.kept)
        for inode in dict.fromkeys(self.kept.values()):
            inode.lose_power(random, now)


@dataclass
class Habits:
    """How a disk behaves now. `forgets` is a disk that says synced and is not."""

    sync_s: float = SYNC_S
    free: int = 1 << 40
    forgets: bool = False


class Platter:
    """What a machine's disk holds; it outlives processes and power."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.folders: dict[Path, Folder] = {}
        self.habits = Habits()

    def lose_power(self, now: float) -> None:
        kept: set[Path] = set()
        for path in sorted(self.folders, key=lambda path: len(path.parts)):
            if path.parent == path or (path.parent in kept and path.name in self.folders[path.parent].kept):
                kept.add(path)
                self.folders[path].lose_power(self.random, now)
        self.folders = {path: folder for path, folder in self.folders.items() if path in kept}

    def files(self) -> list[tuple[Path, Inode]]:
        return [(path / name, inode) for path, folder in self.folders.items() for name, inode in folder.seen.items()]


class SimFile(io.RawIOBase):
    """An open file. Like a descriptor, it stays on its file whatever becomes of the name."""

    def __init__(self, disk: SimDisk, inode: Inode) -> None:
        self.disk = disk
        self.inode = inode
        self._place = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, len(self.inode.seen))[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self.disk.read_at(self, len(buffer), at=self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        self.disk.write_at(self, bytes(data), at=self._place)
        self._place += len(data)
        return len(data)


class SimDisk:
    """The disk as one process of a machine uses it. `before_call` may end that process."""

    def __init__(self, platter: Platter, process: Process, before_call: Callable[[str], None]) -> None:
        self._platter = platter
        self._process = process
        self._before_call = before_call

    def _call(self, what: str, seconds: float = CALL_S) -> None:
        """Every call begins here."""
        self._before_call(what)
        if not self._process.alive:
            raise Died(1)
        take_time(seconds)

    @property
    def _now(self) -> float:
        return now_here(self._process.world)

    def _folder(self, path: Path) -> Folder:
        folder = self._platter.folders.get(path)
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
        return folder

    def _inode(self, path: Path) -> Inode:
        inode = self._folder(path.parent).seen.get(path.name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return inode

    def _take(self, size: int) -> None:
        if size > self._platter.habits.free:
            raise OSError(errno.ENOSPC, "No space left on device")

    # -- wal.disk.Disk

    def create(self, path: Path) -> io.RawIOBase:
        self._call(f"create {path.name}")
        inode = Inode()
        self._folder(path.parent).rename(lambda names: names.__setitem__(path.name, inode), now=self._now)
        return SimFile(self, inode)

    def open(self, path: Path, *, writable: bool = False) -> io.RawIOBase:
        self._call(f"open {path.name}")
        return SimFile(self, self._inode(path))

    def read(self, path: Path) -> bytes:
        self._call(f"read {path.name}")
        return bytes(self._inode(path).seen)

    def size(self, path: Path) -> int:
        return len(self._inode(path).seen)

    def allocate(self, file: Any, size: int) -> None:
        self._call("allocate")
        end = len(file.inode.seen)
        self._take(size - end)
        file.inode.write(bytes(max(0, size - end)), at=end, now=self._now)

    def read_at(self, file: Any, count: int, *, at: int) -> bytes:
        if not self._process.alive:
            raise Died(1)
        return bytes(file.inode.seen[at : at + count])

    def write_at(self, file: Any, data: bytes, *, at: int) -> None:
        self._call("write")
        self._take(at + len(data) - len(file.inode.seen))
        file.inode.write(data, at=at, now=self._now)

    def sync_data(self, file: Any) -> None:
        self._sync(file, "sync data")

    def sync(self, file: Any) -> None:
        self._sync(file, "sync")

    def _sync(self, file: Any, what: str) -> None:
        if not self._platter.habits.forgets:
            self._flush(file.inode, what)
        self._call(f"after {what}")

    def sync_folder(self, folder: Path) -> None:
        if not self._platter.habits.forgets:
            self._flush(self._folder(folder), "sync folder")

    def _flush(self, what: Journalled, call: str) -> None:
        """On the platter when its time is over, and not before."""
        seconds = self._platter.habits.sync_s * (0.5 + self._platter.random.random())
        what.sync(self._now + seconds)
        self._call(call, seconds)

    def make_folder(self, folder: Path) -> None:
        if folder in self._platter.folders:
            return
        if folder.parent != folder:
            self.make_folder(folder.parent)
            self._folder(folder.parent).rename(lambda names: names.__setitem__(folder.name, Inode()), now=self._now)
        self._platter.folders[folder] = Folder()
        if folder.parent != folder:
            self.sync_folder(folder.parent)

    def rename(self, old: Path, new: Path) -> None:
        self._call(f"rename {new.name}")
        inode = self._inode(old)

        def move(names: Names) -> None:
            names.pop(old.name, None)
            names[new.name] = inode

        self._folder(old.parent).rename(move, now=self._now)

    def unlink(self, path: Path) -> None:
        self._call(f"unlink {path.name}")
        if path.name in self._folder(path.parent).seen:
            self._folder(path.parent).rename(lambda names: names.pop(path.name, None), now=self._now)

    def list(self, folder: Path, pattern: str) -> list[Path]:
        self._call("list")
        found = self._platter.folders.get(folder)
        names = found.seen if found is not None else {}
        return sorted(folder / name for name in names if fnmatch.fnmatchcase(name, pattern))
