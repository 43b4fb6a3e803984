"""The Raft log as pysyncobj wants it, kept in memory and in the write-ahead log.

Reads a `Wal` at start; afterwards memory is what pysyncobj reads and the log only grows. Entries are (command, index,
term); the first one held is the newest that compaction left, its command no longer matters.
"""

from __future__ import annotations

import struct

import msgspec
from pysyncobj.journal import Journal
from raftsman.store import wal
from raftsman.store.histogram import Histogram

from . import clock

Entry = tuple[bytes, int, int]
NO_OP = b"\x01"

_PLACE = struct.Struct("<QQ")
_INDEX = struct.Struct("<Q")


class Meta(msgspec.Struct, array_like=True):
    """Raft's persistent state beside the entries. `vote` is a member's peer address; `commit` may lag behind."""

    term: int = 0
    vote: str | None = None
    commit: int = 1
    first: int = 1


_meta_decoder = msgspec.msgpack.Decoder(Meta)


class WalJournal(Journal):  # type: ignore[misc]
    """pysyncobj's journal interface on a `Wal`. Nothing is durable before `sync` returns, except term and vote."""

    def __init__(self, log: wal.Wal) -> None:
        self._wal = log
        self._entries: list[Entry] = []
        self._meta = Meta()
        self.sync_seconds = Histogram(first_s=0.001, buckets=14)
        self.bytes = 0
        for record in log.records:
            self._replay(record)
        log.records = []
        self.bytes = sum(len(entry[0]) for entry in self._entries)
        if self._entries:
            self._meta.commit = min(self._meta.commit, self._entries[-1][1])

    def _replay(self, record: wal.Stored) -> None:
        payload = record.payload
        if record.kind == wal.ENTRY:
            index, term = _PLACE.unpack_from(payload)
            if self._entries and index != self._entries[-1][1] + 1:
                raise wal.WalDamaged(f"the log jumps from entry {self._entries[-1][1]} to {index}")
            self._entries.append((payload[_PLACE.size :], index, term))
        elif record.kind == wal.META:
            self._meta = _meta_decoder.decode(payload)
            self._forget_before(self._meta.first)
        elif record.kind == wal.TRUNCATE:
            index = _INDEX.unpack(payload)[0]
            del self._entries[max(0, index - self._entries[0][1]) if self._entries else 0 :]
        elif record.kind == wal.COMPACT:
            self._meta.first = _INDEX.unpack(payload)[0]
            self._forget_before(self._meta.first)
        elif record.kind == wal.RESET:
            index, term = _PLACE.unpack(payload)
            self._entries = [(NO_OP, index, term)]
            self._meta.first = self._meta.commit = index

    def _forget_before(self, index: int) -> None:
        if self._entries and self._entries[0][1] < index:
            del self._entries[: index - self._entries[0][1]]

    # -- what the store asks

    @property
    def last_index(self) -> int:
        return self._entries[-1][1]

    @property
    def first_index(self) -> int:
        return self._entries[0][1]

    @property
    def disk_bytes(self) -> int:
        return self._wal.disk_bytes

    @property
    def room(self) -> int:
        """How many bytes of entries the next sync can take, whatever the disk says."""
        return self._wal.room

    @property
    def short(self) -> bool:
        """Whether the log has no spare segment."""
        return self._wal.short

    def reserve(self) -> bool:
        """Make the log's spare segment; False while the disk is full."""
        return self._wal.reserve()

    @property
    def syncs(self) -> int:
        return self._wal.syncs

    def term_at(self, index: int) -> int | None:
        """The term of an entry that is held, None otherwise."""
        place = index - self._entries[0][1]
        return self._entries[place][2] if 0 <= place < len(self._entries) else None

    def sync(self) -> None:
        """Put everything on disk that was added so far."""
        if self._wal.dirty:
            began = clock.now()
            self._wal.sync(msgspec.msgpack.encode(self._meta))
            self.sync_seconds.observe(clock.now() - began)

    def reset(self, index: int, term: int) -> None:
        """Drop every entry: a snapshot up to `index` is the truth now."""
        self._entries = [(NO_OP, index, term)]
        self.bytes = len(NO_OP)
        self._meta.first = self._meta.commit = index
        self._wal.append(wal.RESET, _PLACE.pack(index, term), index=index)
        self.sync()
        self._wal.drop_before(index)

    def compact(self, snapshot_index: int, *, entries_max: int, bytes_max: int) -> None:
        """Forget entries up to `snapshot_index`, except the newest ones that a member which lags may still need."""
        place = keep = snapshot_index - self._entries[0][1]
        kept_bytes = sum(len(entry[0]) for entry in self._entries[place + 1 :])
        while keep > 0 and place - keep < entries_max and kept_bytes + len(self._entries[keep][0]) <= bytes_max:
            kept_bytes += len(self._entries[keep][0])
            keep -= 1
        self.deleteEntriesTo(keep)

    # -- what pysyncobj asks

    def add(self, command: bytes, idx: int, term: int) -> None:
        command = bytes(command)
        self._entries.append((command, idx, term))
        self.bytes += len(command)
        self._wal.append(wal.ENTRY, _PLACE.pack(idx, term) + command, index=idx)

    def clear(self) -> None:
        raise AssertionError("pysyncobj clears its journal only for its own snapshots, which are replaced here")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        if entryFrom >= len(self._entries):
            return
        index = self._entries[entryFrom][1]
        assert index > self._meta.commit, f"entry {index} is committed ({self._meta.commit}) and must not be truncated"
        self.bytes -= sum(len(entry[0]) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        self._wal.append(wal.TRUNCATE, _INDEX.pack(index))

    def deleteEntriesTo(self, entryTo: int) -> None:
        if entryTo <= 0:
            return
        self.bytes -= sum(len(entry[0]) for entry in self._entries[:entryTo])
        del self._entries[:entryTo]
        self._meta.first = self._entries[0][1]
        self._wal.append(wal.COMPACT, _INDEX.pack(self._meta.first))
        self.sync()
        self._wal.drop_before(self._meta.first)

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self.sync()
        self._wal.close()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Kept with the next batch: a restart only needs a lower bound, and a majority knows the rest."""
        if raftCommitIndex > self._meta.commit:
            self._meta.commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        return self._meta.commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Durable when it returns: a vote must never be given twice."""
        self._meta.term, self._meta.vote = term, votedForNodeId
        self._wal.append(wal.META, msgspec.msgpack.encode(self._meta))
        self.sync()

    def getCurrentTerm(self) -> int:
        return self._meta.term

    def getVotedForNodeId(self) -> str | None:
        return self._meta.vote
