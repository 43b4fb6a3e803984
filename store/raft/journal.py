"""The Raft log as pysyncobj wants it, kept in memory and in the write-ahead log.

Reads a `Wal` at start; afterwards memory is what pysyncobj reads and the log only grows. Entries are (command, index,
term); the first one held is the newest that compaction left, its command no longer matters. A new log begins with an
empty entry 0, and the entry that founds the cluster, if this member is one of its founders.

The members are here too, as of the last committed entry that changed them. They are on disk before anything is done
that depends on them; so is the knowledge that a change is committed, before anything that came after it is: whoever
holds a change in its log knows of the one before that it was committed, also after a power loss.
"""

from __future__ import annotations

import contextlib
import struct

import msgspec
from pysyncobj.journal import Journal
from raftsman.store import commands, errors, wal
from raftsman.store.histogram import Histogram
from raftsman.store.mvcc import members as membership

from . import clock

Entry = tuple[bytes, int, int]
NO_OP = b"\x01"

_PLACE = struct.Struct("<QQ")
_INDEX = struct.Struct("<Q")


class Meta(msgspec.Struct, array_like=True):
    """Raft's persistent state beside the entries. `commit` may lag behind.

    `vote` is a member's id in hex. `members` is as of entry `changed`. `instances` are the data directories that were
    met: member id to the name that its directory drew, so that a member which lost it is told from itself.
    """

    term: int = 0
    vote: str | None = None
    commit: int = 0
    first: int = 0
    changed: int = 0
    members: membership.Dumped = membership.Dumped()
    instances: dict[int, str] = {}


class Beginning(msgspec.Struct, frozen=True):
    """What a member's log begins with: the entry that founds the cluster, or the members as a peer knew them."""

    entry: bytes = b""
    changed: int = 0
    members: membership.Dumped = membership.Dumped()


_meta_decoder = msgspec.msgpack.Decoder(Meta)


class WalJournal(Journal):  # type: ignore[misc]
    """pysyncobj's journal interface on a `Wal`. Nothing is durable before `sync` returns, except term and vote."""

    def __init__(self, log: wal.Wal) -> None:
        self._wal = log
        self._entries: list[Entry] = []
        self._meta = Meta()
        self.sync_seconds = Histogram(first_s=0.001, buckets=14)
        self._changes: list[int] = []
        self.bytes = 0
        for record in log.records:
            self._replay(record)
        log.records = []
        self.bytes = sum(len(entry[0]) for entry in self._entries)
        self.members = membership.Members(self._meta.members)
        self._note_changes(self._entries)
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

    # -- the members

    def begin(self, beginning: Beginning) -> None:
        """Make a new log; on disk when this returns."""
        assert not self._entries
        self._meta.changed, self._meta.members = beginning.changed, beginning.members
        self.members.load(beginning.members)
        self.add(NO_OP, 0, 0)
        if beginning.entry:
            self.add(beginning.entry, 1, 0)
            self._meta.commit = 1
        self._write_meta()
        self.sync()

    @property
    def changed(self) -> int:
        """The last entry whose change is in `members`."""
        return self._meta.changed

    @property
    def change_pending(self) -> bool:
        """Whether the log holds a change that is not in `members` yet: another one must wait."""
        return bool(self._changes)

    def change(self, index: int, command: bytes) -> membership.Change:
        """A change was committed: bring `members` up to it. It is written with the next sync."""
        (operation,) = commands.decode(command)
        change = membership.decode(operation.payload)
        with contextlib.suppress(errors.StoreError):  # the state refuses it in the same way
            self.members.apply(change)
        self.replace_members(index, self.members.dump())
        return change

    def replace_members(self, index: int, dumped: membership.Dumped) -> None:
        """The members as of entry `index`, which a snapshot or a change says."""
        self._meta.changed, self._meta.members = index, dumped
        self.members.load(dumped)
        self._changes = [change for change in self._changes if change > index]
        self._write_meta()

    def instance(self, member_id: int) -> str | None:
        """The data directory that a member was last met with."""
        return self._meta.instances.get(member_id)

    def remember_instance(self, member_id: int, instance: str) -> None:
        """Durable when it returns. Those who were removed are forgotten."""
        kept = {known: name for known, name in self._meta.instances.items() if self.members.get(known)}
        self._meta.instances = {**kept, member_id: instance}
        self._write_meta()
        self.sync()

    def _note_changes(self, entries: list[Entry]) -> None:
        for command, index, _ in entries:
            if index > self._meta.changed and commands.is_change(command):
                self._changes.append(index)

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

    def entries_from(self, index: int, *, bytes_max: int) -> list[Entry]:
        """Entries from `index` on, which is held, up to `bytes_max` together, or one that is larger."""
        found: list[Entry] = []
        size = 0
        for place in range(index - self._entries[0][1], len(self._entries)):
            entry = self._entries[place]
            size += len(entry[0])
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    def bytes_after(self, index: int) -> int:
        """How large the entries behind `index` are together."""
        return sum([len(entry[0]) for entry in self._entries[index + 1 - self._entries[0][1] :]])

    def sync(self) -> None:
        """Put everything on disk that was added so far."""
        if self._wal.dirty:
            began = clock.now()
            if self._changes and self._changes[0] <= self._meta.commit:
                self._write_meta()
            self._wal.sync(msgspec.msgpack.encode(self._meta))
            self.sync_seconds.observe(clock.now() - began)

    def _write_meta(self) -> None:
        self._wal.append(wal.META, msgspec.msgpack.encode(self._meta))

    def reset(self, index: int, term: int) -> None:
        """Drop every entry: a snapshot up to `index` is the truth now."""
        self._entries = [(NO_OP, index, term)]
        self.bytes = len(NO_OP)
        self._changes = []
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
        if commands.is_change(command) and idx > self._meta.changed:
            self._changes.append(idx)
        self.bytes += len(command)
        self._wal.append(wal.ENTRY, _PLACE.pack(idx, term), command, index=idx)

    def clear(self) -> None:
        raise AssertionError("pysyncobj clears its journal only for its own snapshots, which are replaced here")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        if entryFrom >= len(self._entries):
            return
        index = self._entries[entryFrom][1]
        assert index > self._meta.commit, f"entry {index} is committed ({self._meta.commit}) and must not be truncated"
        self.bytes -= sum(len(entry[0]) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        self._changes = [change for change in self._changes if change < index]
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
        self._write_meta()
        self.sync()

    def getCurrentTerm(self) -> int:
        return self._meta.term

    def getVotedForNodeId(self) -> str | None:
        return self._meta.vote
