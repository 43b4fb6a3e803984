"""The state on disk: a stream of checked frames, written aside, synced, renamed; never changed afterwards.

    file `snap-<index>.rms`:  magic "RMSS", version | frame head | frame parts | frames of records | frame end
    frame: length, CRC, msgpack

A snapshot holds everything that the log said up to `index`; the log before it may go once `write` returns. One that
does not check out raises SnapshotDamaged: it was renamed only when it was whole, so somebody changed it since.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from raftsman.store import mvcc
from raftsman.store.wal.disk import REAL, Disk, File

VERSION = 2
FRAME_RECORDS = 500
FRAME_BYTES = 1 << 18
WRITE_BYTES = 1 << 18
SYNC_BYTES = 4 << 20
"""Written back in pieces: one flush of everything at the end would hold up the log's own syncs."""
_MAGIC = b"RMSS" + bytes((VERSION,))
_FRAME = struct.Struct("<II")
_SUFFIX = ".rms"


class SnapshotDamaged(Exception):
    """A snapshot on disk is not what was written."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where the state stands: the last entry that is in it, and the revisions.

    `bytes` and `hash` are the state's own, which what is loaded must come to again; 0 says nothing.
    """

    index: int
    term: int
    revision: int
    compacted: int
    cluster: str
    bytes: int = 0
    hash: int = 0

    @classmethod
    def of(cls, state: mvcc.State, *, index: int, term: int, cluster: str) -> Head:
        return cls(index, term, state.revision, state.compacted, cluster, state.bytes, state.hash.value)


class Capture(msgspec.Struct, frozen=True):
    """A state held still, to be written while the live one goes on.

    `histories` are the records by key and then by revision, in groups of any size that do not split a key.
    """

    head: Head
    parts: dict[str, object]
    histories: Sequence[Sequence[mvcc.Record]]


_encode = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[mvcc.Record])
_head = msgspec.msgpack.Decoder(Head)
_parts = msgspec.msgpack.Decoder(dict[str, Any])
_count = msgspec.msgpack.Decoder(int)


def write(folder: Path, capture: Capture, *, disk: Disk = REAL) -> Path:
    """Write a snapshot; when this returns it survives a power loss. Blocking: call it off the loop."""

    def fill(file: io.BufferedWriter[File]) -> None:
        synced = 0

        def sync() -> None:
            nonlocal synced
            if file.tell() - synced >= SYNC_BYTES:
                synced = file.tell()
                file.flush()
                disk.sync_data(file.raw)

        pour(file, capture, after_frame=sync)

    path = folder / f"snap-{capture.head.index:016x}{_SUFFIX}"
    place(path, fill, disk=disk)
    return path


def pour(file: BinaryIO, capture: Capture, *, after_frame: Callable[[], None] | None = None) -> None:
    """Write a snapshot into an open file."""
    file.write(_MAGIC)
    _put(file, capture.head)
    _put(file, capture.parts)
    count = 0
    for rows in _batches(capture.histories):
        _put(file, rows)
        count += len(rows)
        if after_frame is not None:
            after_frame()
    _put(file, count)


def place(path: Path, fill: Callable[[io.BufferedWriter[File]], None], *, disk: Disk = REAL) -> None:
    """Make a file whole or not at all: aside, synced, renamed, folder synced."""
    disk.make_folder(path.parent)
    aside = path.with_suffix(".tmp")
    try:
        with io.BufferedWriter(disk.create(aside), WRITE_BYTES) as file:
            fill(file)
            file.flush()
            disk.sync(file.raw)
        disk.rename(aside, path)
    except OSError:
        disk.unlink(aside)  # half a file on a full disk helps nobody
        raise
    disk.sync_folder(path.parent)


def adopt(arrived: Path, path: Path, *, disk: Disk = REAL) -> None:
    """Make a received file, which was verified, a snapshot of this member's."""
    with disk.open(arrived) as file:
        disk.sync(file)
    disk.rename(arrived, path)
    disk.sync_folder(path.parent)


def newest(folder: Path, *, disk: Disk = REAL) -> Path | None:
    """The snapshot to start from; what a crash left unfinished is removed."""
    for leftover in [*disk.list(folder, "*.tmp"), *disk.list(folder, "*.receiving")]:
        disk.unlink(leftover)
    return stored(folder, disk=disk)


def stored(folder: Path, *, disk: Disk = REAL) -> Path | None:
    """The newest snapshot there is."""
    return max(disk.list(folder, f"snap-*{_SUFFIX}"), default=None)


def drop_older(path: Path, *, disk: Disk = REAL) -> None:
    """Remove the snapshots before this one."""
    for other in disk.list(path.parent, f"snap-*{_SUFFIX}"):
        if other.name < path.name:
            disk.unlink(other)


def verify(path: Path, *, disk: Disk = REAL) -> Head:
    """Check every frame without building the state. Raises SnapshotDamaged."""
    with io.BufferedReader(disk.open(path)) as file:
        frames = _frames(path, file)
        try:
            head = _head.decode(next(frames))
            next(frames)
            count = 0
            for frame in frames:
                rows = _row_count(frame)
                if rows is None:
                    if _count.decode(frame) == count:
                        return head
                    break
                count += rows
        except (msgspec.DecodeError, StopIteration) as error:
            raise SnapshotDamaged(f"{path} is damaged: {error or 'it ends too early'}") from error
    raise SnapshotDamaged(f"{path} is damaged: its end is missing")


def parts(path: Path, *, disk: Disk = REAL) -> dict[str, Any]:
    """What a snapshot, which was verified, holds beside the keys."""
    with io.BufferedReader(disk.open(path)) as file:
        frames = _frames(path, file)
        next(frames)
        return _parts.decode(next(frames))


def load(path: Path, *, disk: Disk = REAL) -> tuple[Head, mvcc.State]:
    """The state that a snapshot holds. Raises SnapshotDamaged."""
    with io.BufferedReader(disk.open(path)) as file:
        try:
            return _load(_frames(path, file))
        except (msgspec.DecodeError, StopIteration) as error:
            raise SnapshotDamaged(f"{path} is damaged: {error or 'it ends too early'}") from error
        except mvcc.UnknownPart as error:
            raise SnapshotDamaged(f"{path} was written by a newer program: it holds {error}") from error


def stream(file: BinaryIO) -> tuple[Head, dict[str, Any], Iterator[mvcc.Record]]:
    """Head, parts and records (by key, then by revision) as they are read. Raises SnapshotDamaged and DecodeError."""
    frames = _frames(Path("what was poured"), file)
    return _head.decode(next(frames)), _parts.decode(next(frames)), _records(frames)


def _load(frames: Iterator[bytes]) -> tuple[Head, mvcc.State]:
    head = _head.decode(next(frames))
    parts = _parts.decode(next(frames))
    state = mvcc.State.restored(revision=head.revision, compacted=head.compacted, parts=parts, records=_records(frames))
    if (head.bytes or state.bytes, head.hash or state.hash.value) != (state.bytes, state.hash.value):
        raise msgspec.DecodeError("what it holds is not what it says that it holds")
    return head, state


def _records(frames: Iterator[bytes]) -> Iterator[mvcc.Record]:
    count = 0
    for frame in frames:
        if _row_count(frame) is None:
            if _count.decode(frame) != count:
                raise msgspec.DecodeError(f"it should hold {_count.decode(frame)} records and holds {count}")
            return
        rows = _rows.decode(frame)
        count += len(rows)
        yield from rows
    raise msgspec.DecodeError("its end is missing")


def _row_count(frame: bytes) -> int | None:
    """How many records a frame holds; None for the end frame, which is a number."""
    first = frame[0]
    if 0x90 <= first <= 0x9F:
        return first & 0x0F
    if first == 0xDC:
        return int.from_bytes(frame[1:3], "big")
    return None


def _batches(histories: Iterable[Sequence[mvcc.Record]]) -> Iterator[Sequence[mvcc.Record]]:
    """Groups put together, or cut, to a frame's size."""
    frame: list[mvcc.Record] = []
    size = 0
    for history in histories:
        for record in history:
            frame.append(record)
            size += len(record.value)
            if len(frame) >= FRAME_RECORDS or size >= FRAME_BYTES:
                yield frame
                frame, size = [], 0
    if frame:
        yield frame


def _put(file: BinaryIO, value: object) -> None:
    payload = _encode(value)
    file.write(_FRAME.pack(len(payload), zlib.crc32(payload)))
    file.write(payload)


def _frames(path: Path, file: BinaryIO) -> Iterator[bytes]:
    magic = file.read(len(_MAGIC))
    if magic[:4] != _MAGIC[:4]:
        raise SnapshotDamaged(f"{path} is not a snapshot")
    if magic != _MAGIC:
        raise SnapshotDamaged(f"{path} has another format version; this program reads version {VERSION}")
    while head := file.read(_FRAME.size):
        length, crc = _FRAME.unpack(head) if len(head) == _FRAME.size else (0, 1)
        payload = file.read(length)
        if len(payload) != length or zlib.crc32(payload) != crc:
            raise SnapshotDamaged(f"{path} is damaged before byte {file.tell()}")
        yield payload
