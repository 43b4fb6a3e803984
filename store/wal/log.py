"""The write-ahead log: what was answered is here, on disk, before it was answered.

A log is a folder of segments `wal-<number>.log`, each allocated in full before it is used, so that a full disk shows
when a segment is made and never while one is written. The next segment is allocated ahead (`spare`): when that fails,
there is still a segment's room for what makes the disk empty again.

    segment   magic "RMWL", version, number, number of its first batch, size, CRC       then batches
    batch     records, then an END record that holds the batch's number               written and synced together
    record    length, type, CRC of these two, CRC of the payload, payload

A batch without its END was never synced, so nobody was answered: it is cut. Anything else that does not check out is
damage, and `WalDamaged` names the file and the place: the member must not start on a guess.
Bounds: a batch larger than SEGMENT_BYTES gets a segment of its own size; segments below the first kept entry go.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .disk import REAL, Disk, File, is_full

VERSION = 2
SEGMENT_BYTES = 16 << 20
SECTOR_BYTES = 512
SPARE = "spare"

ENTRY, TRUNCATE, COMPACT, META, RESET, END = 1, 2, 3, 4, 5, 6

_MAGIC = b"RMWL"
_HEAD = struct.Struct("<4sB3xQQQI")
_HEAD_CRC_AT = _HEAD.size - 4
_FRAME = struct.Struct("<IB")
_CRCS = struct.Struct("<II")
_RECORD_BYTES = _FRAME.size + _CRCS.size
_END_PAYLOAD = struct.Struct("<QB")
_END_MARK = 0xE5
_BATCH_OVERHEAD_BYTES = 4096
"""What a batch holds beside its records: its END, and the META that opens a segment."""
_INDEX_AT = struct.Struct("<Q")


class WalDamaged(Exception):
    """The log on disk is not what was written; the sentence says where."""


@dataclass(slots=True)
class _Segment:
    number: int
    size: int
    last_index: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as it was read back."""

    kind: int
    payload: bytes


class Wal:
    """Appends records and syncs them in batches; see the module for what is on disk.

    `records` holds what was found at opening, in order. `carry` is the META record that opens every segment (term,
    vote, first entry), so that older segments can go.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = REAL) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._disk = disk
        self._segments: list[_Segment] = []
        self._batch = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._waiting_index = 0
        self._file: File | None = None
        self._spare: File | None = None
        self._at = 0
        self.syncs = 0
        disk.make_folder(folder)
        disk.unlink(folder / SPARE)
        for leftover in disk.list(folder, "*.tmp"):
            disk.unlink(leftover)
        self.records = self._read_all()
        if self._segments:
            self._open_last()

    # -- writing

    def append(self, kind: int, payload: bytes, more: bytes = b"", *, index: int = 0) -> None:
        """Add a record, its payload in one part or two, to the next batch. `index` is the entry in it, if one is."""
        self._waiting += _framed(kind, payload, more)
        self._waiting_bytes += _RECORD_BYTES + len(payload) + len(more)
        self._waiting_index = max(self._waiting_index, index)

    @property
    def dirty(self) -> bool:
        return bool(self._waiting)

    def sync(self, carry: bytes) -> None:
        """Put the waiting records on disk; when this returns they survive a power loss. `carry` opens a new segment.

        An OSError (device error, a disk that is full although there was `room`) leaves the log unusable: the caller
        must stop the process.
        """
        if not self._waiting:
            return
        self._batch += 1
        self.append(END, _END_PAYLOAD.pack(self._batch, _END_MARK))
        needed = self._waiting_bytes + _RECORD_BYTES + len(carry)
        file = self._file
        if file is None or self._at + needed > self._segments[-1].size:
            file = self._roll(needed)
        if self._at == _HEAD.size:
            self._waiting[:0] = _framed(META, carry)
        data = b"".join(self._waiting)
        self._disk.write_at(file, data, at=self._at)
        self._disk.sync_data(file)
        self.syncs += 1
        self._at += len(data)
        self._segments[-1].last_index = max(self._segments[-1].last_index, self._waiting_index)
        self._waiting.clear()
        self._waiting_bytes = self._waiting_index = 0

    def _roll(self, needed: int) -> File:
        if self._file is not None:
            self._file.close()
        number = self._segments[-1].number + 1 if self._segments else 1
        segment = _Segment(number, max(self._segment_bytes, _HEAD.size + needed))
        self._file = self._create(segment)
        self._segments.append(segment)
        self._at = _HEAD.size
        return self._file

    def _create(self, segment: _Segment) -> File:
        name = self._path(segment.number)
        head = _HEAD.pack(_MAGIC, VERSION, segment.number, self._batch, segment.size, 0)
        head = head[:_HEAD_CRC_AT] + struct.pack("<I", zlib.crc32(head[:_HEAD_CRC_AT]))
        if self._spare is not None and segment.size == self._segment_bytes:
            file, aside, self._spare = self._spare, self._folder / SPARE, None
        else:
            aside = name.with_suffix(".tmp")
            file = self._disk.create(aside)
            self._disk.allocate(file, segment.size)
        self._disk.write_at(file, head, at=0)
        self._disk.sync(file)
        self._disk.rename(aside, name)
        self._disk.sync_folder(self._folder)
        return file

    @property
    def room(self) -> int:
        """How large the next batch may be without asking the disk for more."""
        here = self._segments[-1].size - self._at if self._file is not None else 0
        ahead = self._segment_bytes - _HEAD.size if self._spare is not None else 0
        return max(here, ahead) - self._waiting_bytes - _BATCH_OVERHEAD_BYTES

    @property
    def short(self) -> bool:
        """Whether there is no spare segment."""
        return self._spare is None

    def reserve(self) -> bool:
        """Allocate the spare segment unless it is there. False: the disk is full."""
        if self._spare is not None:
            return True
        path = self._folder / SPARE
        file = None
        try:
            file = self._disk.create(path)
            self._disk.allocate(file, self._segment_bytes)
        except OSError as error:
            if file is not None:
                file.close()
            self._disk.unlink(path)
            if not is_full(error):
                raise
            return False
        self._spare = file
        return True

    def drop_before(self, index: int) -> None:
        """Remove the segments that hold nothing from entry `index` on. The records saying so must be synced."""
        assert not self._waiting
        removed = False
        while len(self._segments) > 1 and self._segments[0].last_index < index:
            self._disk.unlink(self._path(self._segments.pop(0).number))
            removed = True
        if removed:
            self._disk.sync_folder(self._folder)

    @property
    def disk_bytes(self) -> int:
        """What the log takes, its spare segment too."""
        return sum(segment.size for segment in self._segments) + (self._segment_bytes if self._spare else 0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _path(self, number: int) -> Path:
        return self._folder / f"wal-{number:016d}.log"

    # -- reading

    def _read_all(self) -> list[Stored]:
        found: list[Stored] = []
        paths = self._disk.list(self._folder, "wal-*.log")
        for place, path in enumerate(paths):
            data = self._disk.read(path)
            segment = self._read_head(path, data, first=place == 0)
            self._segments.append(segment)
            reader = _Reader(path, data, batch=self._batch)
            for stored in reader.records():
                found.append(stored)
                if stored.kind in (ENTRY, RESET):
                    segment.last_index = max(segment.last_index, _INDEX_AT.unpack_from(stored.payload)[0])
            if place + 1 < len(paths) and reader.cut:
                raise WalDamaged(f"{path} ends in an unfinished batch at byte {reader.end}, yet a later segment exists")
            self._batch, self._at = reader.batch, reader.end
        return found

    def _read_head(self, path: Path, data: bytes, *, first: bool) -> _Segment:
        if len(data) < _HEAD.size:
            raise WalDamaged(f"{path} is {len(data)} bytes long, shorter than a segment's head")
        magic, version, number, batch, size, crc = _HEAD.unpack_from(data)
        if magic != _MAGIC or crc != zlib.crc32(data[:_HEAD_CRC_AT]):
            raise WalDamaged(f"{path} has a damaged head")
        if version != VERSION:
            raise WalDamaged(f"{path} has format version {version}; this program reads version {VERSION}")
        if self._path(number) != path:
            raise WalDamaged(f"{path} says that it is segment {number}")
        if first:
            self._batch = batch - 1
        elif number != self._segments[-1].number + 1 or batch != self._batch + 1:
            raise WalDamaged(
                f"a segment is missing between {self._path(self._segments[-1].number).name} and {path.name}"
            )
        if len(data) != size:
            raise WalDamaged(f"{path} is {len(data)} bytes long; {size} were allocated")
        return _Segment(number, len(data))

    def _open_last(self) -> None:
        """Continue behind the last batch; what a torn batch left there is cleared first."""
        segment = self._segments[-1]
        self._file = file = self._disk.open(self._path(segment.number), writable=True)
        left = self._disk.read_at(file, segment.size - self._at, at=self._at)
        if left.strip(b"\0"):
            self._disk.write_at(file, bytes(len(left)), at=self._at)
            self._disk.sync(file)


class _Reader:
    """Reads one segment's batches; see `_torn` for how an unfinished batch is told from damage."""

    def __init__(self, path: Path, data: bytes, *, batch: int) -> None:
        self._path = path
        self._data = data
        self.batch = batch
        self.end = _HEAD.size
        self.cut = False

    def records(self) -> Iterator[Stored]:
        """The records of finished batches; then `end` is behind them and `cut` says whether a torn one follows."""
        at = self.end
        held: list[Stored] = []
        while True:
            record = self._record(at)
            if record is None:
                self.cut = self._torn(at)
                return
            at += _RECORD_BYTES + len(record.payload)
            if record.kind != END:
                held.append(record)
                continue
            number = _END_PAYLOAD.unpack(record.payload)[0]
            if number != self.batch + 1:
                raise WalDamaged(f"{self._path} holds batch {number} where {self.batch + 1} belongs")
            yield from held
            held.clear()
            self.batch, self.end = number, at

    def _record(self, at: int) -> Stored | None:
        data = self._data
        if at + _RECORD_BYTES > len(data):
            return None
        length, kind = _FRAME.unpack_from(data, at)
        head_crc, crc = _CRCS.unpack_from(data, at + _FRAME.size)
        if head_crc != zlib.crc32(data[at : at + _FRAME.size]):
            return None
        payload = data[at + _RECORD_BYTES : at + _RECORD_BYTES + length]
        if len(payload) != length or zlib.crc32(payload) != crc:
            return None
        if not ENTRY <= kind <= END or (kind == END and length != _END_PAYLOAD.size):
            raise WalDamaged(f"{self._path} holds a record of unknown type {kind} at byte {at}")
        return Stored(kind, payload)

    def _torn(self, failed_at: int) -> bool:
        """Whether a batch follows that a crash left unfinished; raises when what follows is damage instead.

        A crash loses whole sectors: one between the batch's start and the record that does not check out must still
        be zero. And a batch was synced before the next was written: an END of a later one proves that it was whole.
        """
        data, start = self._data, self.end
        if not data[start:].strip(b"\0"):
            return False
        if _lost_sector(data, start, self._extent(failed_at)) and not self._later_batch(start):
            return True
        raise WalDamaged(f"{self._path} is damaged in batch {self.batch + 1}, which begins at byte {start}")

    def _extent(self, at: int) -> int:
        """Where a record that does not check out should have ended, as far as its head can be believed."""
        head = self._data[at : at + _RECORD_BYTES]
        if len(head) < _RECORD_BYTES or _CRCS.unpack_from(head, _FRAME.size)[0] != zlib.crc32(head[: _FRAME.size]):
            return at + _RECORD_BYTES
        return int(at + _RECORD_BYTES + _FRAME.unpack_from(head)[0])

    def _later_batch(self, start: int) -> bool:
        signature = _FRAME.pack(_END_PAYLOAD.size, END)
        signature += struct.pack("<I", zlib.crc32(signature))
        found = self._data.find(signature, start)
        while found >= 0:
            record = self._record(found)
            if record is not None and _END_PAYLOAD.unpack(record.payload)[0] > self.batch + 1:
                return True
            found = self._data.find(signature, found + 1)
        return False


def _lost_sector(data: bytes, start: int, end: int) -> bool:
    """Whether a sector that begins before end is still zero: whole, or from start on."""
    at = start
    while at < min(end, len(data)):
        border = (at // SECTOR_BYTES + 1) * SECTOR_BYTES
        if not data[at:border].strip(b"\0"):
            return True
        at = border
    return False


def _framed(kind: int, payload: bytes, more: bytes = b"") -> tuple[bytes, bytes, bytes]:
    frame = _FRAME.pack(len(payload) + len(more), kind)
    return frame + _CRCS.pack(zlib.crc32(frame), zlib.crc32(more, zlib.crc32(payload))), payload, more
