"""Raft's promises and the state machine's, held after every turn of every member.

election safety        at most one leader a term
vote                   once a term, whatever is lost between; terms never fall
log matching           the same index and term: the same entry, and the same entries before it
leader completeness    who takes office has every entry that was committed
committed entries      are never truncated, and never another entry
state machine safety   every member applies the same entry at an index, gets the same state, tells the same changes
once                   an operation that was proposed once is in the log once
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from zlib import crc32

import msgspec
from raftsman.etcd import kv_pb2
from raftsman.store import commands
from raftsman.store.raft import events
from raftsman.store.raft.journal import WalJournal

from .machine import Machine, Machines, Parts
from .world import World

_encode = msgspec.msgpack.Encoder(order="sorted").encode
Changes = tuple[Any, ...]


@dataclass
class _Seen:
    """What was last seen of one incarnation."""

    incarnation: int
    commit: int
    leading: int = 0


@dataclass
class Invariants:
    """Watches every machine; `changes` is what every revision changed, by the first who told."""

    world: World
    machines: Machines
    entries: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    committed_in: dict[int, int] = field(default_factory=dict)
    """The first term in which somebody knew that an entry is committed."""
    applied_entries: dict[int, tuple[int, int]] = field(default_factory=dict)
    states: dict[int, tuple[str, object]] = field(default_factory=dict)
    changes: dict[int, Changes] = field(default_factory=dict)
    leaders: dict[int, str] = field(default_factory=dict)
    votes: dict[tuple[str, int], str] = field(default_factory=dict)
    terms: dict[str, int] = field(default_factory=dict)
    operations: dict[int, int] = field(default_factory=dict)
    compacted: int = 0
    last_committed: int = 1
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _unchecked: dict[str, list[Callable[[], None]]] = field(default_factory=dict)

    # -- after every turn

    def look(self, machine: Machine, parts: Parts) -> None:
        kernel = parts.kernel
        if kernel is None or parts.raft.now > self.world.now:
            return  # what its disk is still busy with may never have happened
        seen = self._seen.get(machine.name)
        if seen is None or seen.incarnation != machine.incarnation:
            self._seen[machine.name] = seen = _Seen(machine.incarnation, 0)
            self._log_read(machine, kernel.journal)
        for check in self._unchecked.pop(machine.name, ()):
            check()
        self._term_and_vote(machine, kernel)
        if kernel._isLeader() and seen.leading != kernel.raftCurrentTerm:
            seen.leading = kernel.raftCurrentTerm
            self._took_office(machine, kernel)
        if kernel.raftCommitIndex > seen.commit:
            self._committed(machine, kernel, seen)
        elif kernel.raftCommitIndex < seen.commit:
            self.world.violate(f"{machine.name} moved its commit index back from {seen.commit}")

    def _log_read(self, machine: Machine, journal: Any) -> None:
        before = None
        for command, index, term in journal._entries:
            if before is not None:
                self._entry(machine.name, index, term, command, before)
            before = term

    def _term_and_vote(self, machine: Machine, kernel: Any) -> None:
        name, term, vote = machine.identity, kernel.raftCurrentTerm, kernel._SyncObj__votedForNodeId
        if term < self.terms.get(name, 0):
            self.world.violate(f"{name} is back in term {term}, it was in {self.terms[name]}")
        self.terms[name] = term
        if vote is not None and self.votes.setdefault((name, term), vote) != vote:
            self.world.violate(f"{name} voted in term {term} for {self.votes[name, term]} and for {vote}")

    def _took_office(self, machine: Machine, kernel: Any) -> None:
        term = kernel.raftCurrentTerm
        other = self.leaders.setdefault(term, machine.name)
        if other != machine.name:
            self.world.violate(f"term {term} has two leaders, {other} and {machine.name}")
        self.world.note(machine.name, f"leads term {term}, log ends at {kernel.journal.last_index}")
        last = self._committed_by(term, kernel.journal.first_index)
        has = kernel.journal.term_at(last)
        if last and has != self.committed[last]:
            self.world.violate(
                f"{machine.name} leads term {term} without committed entry {last} of term {self.committed[last]}"
                f" (it has term {has} there, its log ends at {kernel.journal.last_index})"
            )

    def _committed_by(self, term: int, first: int) -> int:
        """The last entry that was committed before a later term than this began, 0 when it is before `first`.

        Who is seen in office late, because its disk held it up, need not have what others committed after it.
        """
        indexes = range(self.last_committed, first - 1, -1)
        return next((index for index in indexes if self.committed_in.get(index, term + 1) <= term), 0)

    def _committed(self, machine: Machine, kernel: Any, seen: _Seen) -> None:
        now = kernel.raftCurrentTerm
        for index in range(seen.commit + 1, kernel.raftCommitIndex + 1):
            term = kernel.journal.term_at(index)
            if term is None:
                continue
            self.committed_in[index] = min(self.committed_in.get(index, now), now)
            if self.committed.setdefault(index, term) != term:
                self.world.violate(
                    f"{machine.name} committed entry {index} of term {term}; it was of term {self.committed[index]}"
                )
        self.last_committed = max(self.last_committed, kernel.raftCommitIndex)
        seen.commit = kernel.raftCommitIndex

    # -- the log

    @contextmanager
    def eyes(self) -> Iterator[None]:
        """See every entry that is added or truncated anywhere."""
        add, truncate = WalJournal.add, WalJournal.deleteEntriesFrom

        def added(journal: WalJournal, command: bytes, idx: int, term: int) -> None:
            if journal._entries:
                name, before = self._name(), journal._entries[-1][2]
                self._soon(name, lambda: self._entry(name, idx, term, bytes(command), before))
            add(journal, command, idx, term)

        def truncated(journal: WalJournal, place: int) -> None:
            gone = journal._entries[place:]
            if gone:
                name = self._name()
                self.world.note(name, f"truncates entries {gone[0][1]}..{gone[-1][1]}")
                self._soon(name, lambda: self._truncated(name, gone))
            truncate(journal, place)

        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(WalJournal, "add", added))
            stack.enter_context(mock.patch.object(WalJournal, "deleteEntriesFrom", truncated))
            yield

    def _soon(self, name: str, check: Callable[[], None]) -> None:
        self._unchecked.setdefault(name, []).append(check)

    def _truncated(self, name: str, gone: list[tuple[bytes, int, int]]) -> None:
        for _, index, term in gone:
            if self.committed.get(index) == term:
                self.world.violate(f"{name} truncates committed entry {index} of term {term}")

    def _name(self) -> str:
        machine = self.machines.current()
        return machine.name if machine is not None else "?"

    def _entry(self, name: str, index: int, term: int, command: bytes, before: int) -> None:
        entry = (crc32(command), before)
        if self.entries.setdefault((index, term), entry) != entry:
            self.world.violate(f"{name} has another entry {index} of term {term} than others, or another before it")

    # -- the state

    def loaded(self, machine: Machine, parts: Parts) -> None:
        """A member read its snapshot."""
        self._state(machine, parts.replica)
        self._history(machine, parts.replica)

        parts.replica.observers.append(_Changes(self, machine, parts.replica))

    def applied(self, machine: Machine, parts: Parts, event: events.Event) -> None:
        """A member's state machine was told something."""
        if isinstance(event, events.Committed):
            for index, term, entry in event.entries:
                self._applied(machine, index, term, entry)
            self._state(machine, parts.replica)
        elif isinstance(event, events.Installed):
            self._state(machine, parts.replica)
            self._history(machine, parts.replica)

    def _applied(self, machine: Machine, index: int, term: int, entry: bytes) -> None:
        mark = (term, crc32(entry))
        known = self.applied_entries.setdefault(index, mark)
        if known != mark:
            self.world.violate(f"{machine.name} applied another entry {index} than others")
        if entry[0] == 0 and index not in self.operations.values():
            for operation in commands.decode(entry):
                if self.operations.setdefault(operation.request_id, index) != index:
                    self.world.violate(f"operation {operation.request_id:x} is in the log twice, again in {index}")

    def _state(self, machine: Machine, replica: Any) -> None:
        state = replica.state
        digest = (state.revision, state.compacted, crc32(_encode(state.copy_of_parts())))
        self.compacted = max(self.compacted, state.compacted)
        name, known = self.states.setdefault(replica.applied, (machine.name, digest))
        if known != digest:
            self.world.violate(
                f"{machine.name} and {name} differ at entry {replica.applied}: (revision, compacted, parts) are"
                f" {digest} and {known}"
            )

    def _history(self, machine: Machine, replica: Any) -> None:
        """A state that was read from a snapshot tells the same past."""
        state = replica.state
        for revision in range(state.history.first, state.revision + 1):
            self.changed(machine, replica, revision)

    def changed(self, machine: Machine, replica: Any, revision: int) -> None:
        found = tuple(_row(change) for change in replica.state.history.at(revision))
        known = self.changes.setdefault(revision, found)
        if known != found:
            self.world.violate(f"{machine.name} tells revision {revision} as {found}, others as {known}")

    def ended(self, machine: Machine) -> None:
        self._seen.pop(machine.name, None)
        self._unchecked.pop(machine.name, None)

    # -- at the end

    def evidence(self) -> dict[int, list[kv_pb2.Event]]:
        """The changes as etcd's events, with what was there before."""
        before: dict[bytes, kv_pb2.KeyValue] = {}
        told: dict[int, list[kv_pb2.Event]] = {}
        for revision in sorted(self.changes):
            of_revision = told.setdefault(revision, [])
            for key, value, created, modified, _, version, lease in self.changes[revision]:
                put = version > 0
                kv = kv_pb2.KeyValue(key=key, mod_revision=modified)
                if put:
                    kv.value, kv.create_revision, kv.version, kv.lease = value, created, version, lease
                kind = kv_pb2.Event.PUT if put else kv_pb2.Event.DELETE
                of_revision.append(kv_pb2.Event(type=kind, kv=kv, prev_kv=before.get(key)))
                if put:
                    before[key] = kv
                else:
                    before.pop(key, None)
        return told


def _row(change: Any) -> tuple[Any, ...]:
    record = change.record
    return (
        bytes(record.key),
        bytes(record.value),
        record.create_revision,
        record.mod_revision,
        record.sub,
        record.version,
        record.lease,
    )


class _Changes:
    """An observer of one replica."""

    def __init__(self, invariants: Invariants, machine: Machine, replica: Any) -> None:
        self._invariants, self._machine, self._replica = invariants, machine, replica

    def changed(self, first: int, last: int) -> None:
        for revision in range(first, last + 1):
            self._invariants.changed(self._machine, self._replica, revision)

    def compacted(self, revision: int) -> None:
        """Seen in the state."""

    def replaced(self) -> None:
        """Seen as an event."""

    def led(self, role: events.Role) -> None:
        """Seen in the kernel."""

    def lease_changed(self, lease_id: int) -> None:
        """Seen in the state."""
