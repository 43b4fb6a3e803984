"""The state machine of this member and those who wait for it, on the main loop.

Reads the Raft thread's events; owns `mvcc.State`. A write is proposed with a number and answered when it was applied
here; a read waits until this member is known to be up to date. Nothing is answered that is not on a majority's disks.
Bounds: what `pending` holds, READS_MAX questions for an index; each waits `request_s` at most. A time-out says that the
outcome is unknown: the write may still happen.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Protocol

import grpc
import msgspec
from google.protobuf.message import Message
from raftsman import logs
from raftsman.store import apply, chunks, commands, errors, mvcc, snapshot
from raftsman.store.histogram import Histogram
from raftsman.store.mvcc import members
from raftsman.store.mvcc.auth import NOBODY, Who
from raftsman.store.mvcc.sessions import Outcome
from raftsman.store.pending import Pending, Settled, Sink, Waiters
from raftsman.store.raft import clock, events
from raftsman.store.raft.driver import Driver, Start
from raftsman.store.sweeper import Sweeper
from raftsman.store.wal.disk import REAL, Disk

REQUEST_S = 7.0
READS_MAX = 20_000
READ_RETRY_S = 0.05
SNAPSHOT_BYTES_MIN = 16 << 20
SNAPSHOT_BYTES_MAX = 64 << 20
"""A snapshot is due after as much log as the last snapshot was large, within these bounds: the less is written twice,
the more memory the log takes, and the more of it is applied again at a start."""
SNAPSHOT_STAGGER = 0.4
"""By up to this share a member writes its own earlier, so that not all write at the same time."""
SLOW_APPLY_S = 0.1
SNAPSHOT_RETRY_S = 15.0
"""After one that the disk did not take. The log has everything meanwhile."""

log = logs.get(__name__)
Kind = commands.Kind
_KINDS = {int(kind): kind for kind in Kind}
_MORE = frozenset({Kind.COMPACT, Kind.LEASE_GRANT, Kind.LEASE_REVOKE, Kind.AUTH_ENABLE})
"""Kinds that take more than applying."""


class Observer(Protocol):
    """Who wants to know what happened to the state, at once and without waiting."""

    def changed(self, first: int, last: int) -> None:
        """Revisions first..last are new."""

    def compacted(self, revision: int) -> None:
        """Revisions below are gone."""

    def replaced(self) -> None:
        """The whole state was replaced by a newer one."""

    def led(self, role: events.Role) -> None:
        """Another leader, or another term."""

    def lease_changed(self, lease_id: int) -> None:
        """A lease was granted or revoked."""


@dataclass(slots=True)
class _Waiters:
    """Reads by the index that they need, questions by their number."""

    reads: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)
    tickets: dict[int, asyncio.Future[int | None]] = field(default_factory=dict)
    calls: dict[int, asyncio.Future[bytes | None]] = field(default_factory=dict)
    roles: list[asyncio.Future[None]] = field(default_factory=list)


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """An operation before it has an id. `tag` is its caller's number of it."""

    kind: Kind
    payload: bytes
    tag: int


@dataclass(slots=True)
class Counts:
    """What did not go as it should, since the start."""

    proposals_failed: int = 0
    reads_failed: int = 0
    slow_applies: int = 0


class Replica:
    """This member's state, its waiters and its snapshots."""

    def __init__(
        self,
        folder: Path,
        *,
        member_number: int,
        cluster: str,
        snapshot_count: int,
        request_s: float = REQUEST_S,
        disk: Disk = REAL,
        random: Random | None = None,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._cluster = cluster
        self._snapshot_count = snapshot_count
        self._request_s = request_s
        self._random = random or SystemRandom()
        first_id = (member_number & 0xFFFF) << 47 | self._random.getrandbits(24) << 23
        self._pending = Pending(first_id, seconds=request_s, late=self._late)
        self._numbers = itertools.count()
        self._gathered: list[tuple[Who, int, Kind, bytes, asyncio.Future[apply.Answer]]] = []
        self._waiters = _Waiters()
        self._driver: Driver | None = None
        self._snapshotting: asyncio.Task[None] | None = None
        self._sweeper = Sweeper(lambda: self.state.sweep())
        self._bytes_since = 0
        self._snapshot_bytes = self._log_for(0)
        self._snapshot_not_before = 0.0
        self._stopped = False
        self.counts = Counts()
        self.snapshot_seconds = Histogram(first_s=0.001, buckets=14)
        self.observers: list[Observer] = []
        self.answer_call: Callable[[bytes], bytes] | None = None
        self.admit: Callable[[Kind, bytes], None] | None = None
        """Asked before an operation is proposed; raises the StoreError that refuses it."""
        self.admits_all: Callable[[Sequence[int], int], bool] | None = None
        """Asked first, about the sizes of all that came together and their sum: whether nothing can be against them."""
        self.at_index: Callable[[int], None] | None = None
        """Told after every entry, before the next one is applied."""
        self.no_room: Callable[[], None] | None = None
        """Told when the disk has no room for another segment of the log."""
        self.role = events.Role(None, False, 0)
        self.room = events.Room(short=False, full=False)
        self.state = mvcc.State()
        self.dismissed: Callable[[str], None] | None = None
        """Told the sentence when this member must stop for good."""
        self.applied, self.applied_term, self.snapshot_index = 0, 0, 0
        self._published = self.state.revision

    def load(self) -> Start:
        """Take the newest snapshot for the state. Raises SnapshotDamaged."""
        path = snapshot.newest(self._folder / "snap", disk=self._disk)
        if path is not None:
            self._install(path)
        return Start(
            index=self.applied,
            term=self.applied_term,
            members=self.state.members.dump(),
            log_folder=self._folder / "wal",
        )

    def _install(self, path: Path) -> None:
        head, state = snapshot.load(path, disk=self._disk)
        if head.cluster != self._cluster:
            raise snapshot.SnapshotDamaged(f"{path} belongs to another cluster than the flags describe")
        self.state = state
        self._published = state.revision
        self.applied, self.applied_term, self.snapshot_index = head.index, head.term, head.index
        self._snapshot_bytes = self._log_for(self._disk.size(path))

    def attach(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def folder(self) -> Path:
        """The data directory."""
        return self._folder

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    @property
    def pending(self) -> int:
        """Writes that wait for the log."""
        return len(self._pending)

    # -- requests

    async def propose(self, kind: Kind, payload: bytes, *, who: Who = NOBODY, term: int = 0) -> Message:
        """Replicate an operation of `who` and answer what applying it answered. Raises StoreError.

        With `term`, it is refused where another than the leader of that term put it into the log.
        """
        return apply.message_of(await self.outcome(kind, payload, who=who, term=term))

    async def outcome(self, kind: Kind, payload: bytes, *, who: Who = NOBODY, term: int = 0) -> apply.Answer:
        """`propose`, with the answer as applying made it. What is asked in one turn of the loop goes together."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[apply.Answer] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._propose_gathered)
        self._gathered.append((who, term, kind, payload, future))
        return await future

    def _propose_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for (who, term), group in itertools.groupby(gathered, key=itemgetter(0, 1)):
            kinds, payloads, futures = zip(*(asked[2:] for asked in group), strict=True)
            proposals = list(map(Proposal, kinds, payloads, range(len(kinds))))
            self.propose_all(proposals, Waiters(*futures), who=who, term=term)

    async def change_members(self, kind: Kind, change: members.Change, *, who: Who = NOBODY) -> Message:
        """Replicate a change of the members: an entry of its own, as the leader lets it happen. Raises StoreError."""
        if self._stopped:
            raise errors.stopped()
        future: asyncio.Future[apply.Answer] = asyncio.get_running_loop().create_future()
        payload = members.encode(change)
        if not self._pending.has_room(1, len(payload)):
            raise errors.too_many_requests()
        operation = commands.Operation(self._pending.next_id(), kind, payload, 0, 0, who.user, who.revision)
        self._pending.add((operation,), (0,), Waiters(future))
        self.driver.change(operation)
        return apply.message_of(await future)

    def propose_all(
        self,
        proposals: Sequence[Proposal],
        sink: Sink,
        *,
        who: Who = NOBODY,
        session: int = 0,
        received: int = 0,
        again: bool = False,
        term: int = 0,
    ) -> None:
        """Replicate operations of `who`; each is settled by its tag, which in a session is its sequence number.

        The session's client has the answers of everything up to `received`. `again`: it sent them before.
        """
        proposals = self._admitted(proposals, sink, again=again)
        if not proposals:
            return
        next_id = self._pending.next_id
        for part in chunks.cut(proposals):
            operations = [
                commands.Operation(
                    next_id(), each.kind, each.payload, session, each.tag if session else 0,
                    who.user, who.revision, received, term,
                )
                for each in part
            ]  # fmt: skip
            self._pending.add(operations, [each.tag for each in part], sink)
            self.driver.propose(commands.pack(operations))

    def _admitted(self, proposals: Sequence[Proposal], sink: Sink, *, again: bool) -> Sequence[Proposal]:
        """Those that may be proposed; the others are settled."""
        sizes = [len(proposal.payload) for proposal in proposals]
        size, admitted = sum(sizes), proposals
        if self.admits_all is None or not self.admits_all(sizes, size):
            admitted = self._admitted_singly(proposals, sink, again=again)
            size = sum(len(proposal.payload) for proposal in admitted)
        full = not self._pending.has_room(len(admitted), size)
        if not full and not self._stopped:
            return admitted
        for proposal in admitted:
            sink.settle(proposal.tag, errors.stopped() if self._stopped else errors.too_many_requests())
        return ()

    def _admitted_singly(self, proposals: Sequence[Proposal], sink: Sink, *, again: bool) -> Sequence[Proposal]:
        admitted: list[Proposal] = []
        for proposal in proposals:
            refused = self._not_admitted(proposal)
            if refused is None or (again and refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED):
                admitted.append(proposal)
            else:
                sink.settle(proposal.tag, refused)
        return admitted

    def _not_admitted(self, proposal: Proposal) -> errors.StoreError | None:
        try:
            if self.admit is not None:
                self.admit(proposal.kind, proposal.payload)
        except errors.StoreError as error:
            return error
        return None

    def _late(self) -> errors.StoreError:
        self.counts.proposals_failed += 1
        return errors.no_leader() if self.role.leader is None else errors.timed_out()

    async def up_to_date(self) -> None:
        """Return when everything that was answered anywhere before the call is applied here. Raises StoreError."""
        alone_from = self.driver.alone_from
        if alone_from is not None and self.applied >= alone_from and self.role.leading and not self._stopped:
            return  # whatever was answered was applied here first, and nobody else can lead
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._request_s):
                index = await self._read_index(loop)
                while index is None:
                    await asyncio.sleep(READ_RETRY_S)
                    index = await self._read_index(loop)
                await self._applied_up_to(index, loop)
        except TimeoutError:
            self.counts.reads_failed += 1
            raise errors.no_leader() if self.role.leader is None else errors.timed_out() from None

    async def _read_index(self, loop: asyncio.AbstractEventLoop) -> int | None:
        if self._stopped:
            raise errors.stopped()
        tickets = self._waiters.tickets
        if len(tickets) >= READS_MAX:
            raise errors.too_many_requests()
        ticket = next(self._numbers)
        tickets[ticket] = loop.create_future()
        self.driver.read(ticket)
        try:
            return await tickets[ticket]
        finally:
            del tickets[ticket]

    async def _applied_up_to(self, index: int, loop: asyncio.AbstractEventLoop) -> None:
        if self.applied < index:
            future: asyncio.Future[None] = loop.create_future()
            heapq.heappush(self._waiters.reads, (index, next(self._numbers), future))
            await future

    async def call_leader(self, payload: bytes) -> bytes:
        """Ask the leader's `answer_call`, here or over there. Raises StoreError."""
        if self.role.leading:
            assert self.answer_call is not None
            return self.answer_call(payload)
        number = next(self._numbers)
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiters.calls[number] = future
        self.driver.call(number, payload)
        try:
            async with asyncio.timeout(self._request_s):
                answer = await future
        except TimeoutError:
            raise errors.timed_out() from None
        finally:
            del self._waiters.calls[number]
        if answer is None:
            raise errors.no_leader()
        return answer

    async def hand_over(self, name: str | None, *, seconds: float = REQUEST_S) -> None:
        """Let another member lead, the best one if none is named; returns when it does. Raises transfer_timed_out."""
        term = self.role.term
        self.driver.hand_over(name)
        try:
            async with asyncio.timeout(seconds):
                while self.role.term == term or self.role.leader is None:
                    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiters.roles.append(future)
                    await future
        except TimeoutError:
            raise errors.transfer_timed_out() from None
        if name is not None and self.role.leader != name:
            raise errors.transfer_timed_out()

    # -- events

    def on_event(self, event: events.Event) -> None:
        """Everything the Raft thread tells. An error here leaves the state unknown: the process ends."""
        try:
            self._on_event(event)
        except BaseException as error:
            log.error("applying failed, stopping at once", error=f"{type(error).__name__}: {error}", exc_info=error)
            os._exit(70)

    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Committed):
            self._apply(event.entries)
        elif isinstance(event, events.ReadIndex):
            _resolve(self._waiters.tickets.get(event.ticket), event.index)
        elif isinstance(event, events.Role):
            self._role_changed(event)
        elif isinstance(event, events.Called):
            assert self.answer_call is not None
            if self.role.leading:
                self.driver.answer(event.peer, event.number, self.answer_call(event.payload))
        elif isinstance(event, events.Answered):
            _resolve(self._waiters.calls.get(event.number), event.payload)
        elif isinstance(event, events.Room):
            self._room_changed(event)
        elif isinstance(event, events.Dismissed):
            if self.dismissed is not None:
                self.dismissed(event.reason)
        else:
            self._install(event.path)
            snapshot.drop_older(event.path, disk=self._disk)
            self._release_reads()
            for observer in self.observers:
                observer.replaced()

    def _role_changed(self, role: events.Role) -> None:
        before, self.role = self.role, role
        if before.leader is not None and (role.leader, role.term) != (before.leader, before.term):
            # What waits went to a leader that is gone: it may have happened, nobody will say.
            self._pending.fail_all(errors.leader_lost())
        for observer in self.observers:
            observer.led(role)
        waiting, self._waiters.roles = self._waiters.roles, []
        for future in waiting:
            _resolve(future, None)

    def _room_changed(self, room: events.Room) -> None:
        self.room = room
        if room.short:
            self._snapshot_not_before = 0.0
            self._snapshot_if_due()  # what it covers can leave the log
            if self.no_room is not None:
                self.no_room()
        if room.full:
            self._pending.fail_all(errors.timed_out())  # the log may have them, and may not

    def _apply(self, entries: list[tuple[int, int, bytes]]) -> None:
        began = clock.now()
        for index, term, entry in entries:
            assert index == self.applied + 1, (index, self.applied)
            if entry[0] == 0:
                self._apply_all(commands.decode(entry), term)
            self.applied, self.applied_term = index, term
            self._bytes_since += len(entry)
            if self.at_index is not None:
                self.at_index(index)
        self.counts.slow_applies += clock.now() - began > SLOW_APPLY_S
        self._publish()
        self._release_reads()
        self._snapshot_if_due()

    def _publish(self) -> None:
        """Tell the observers which revisions are new."""
        first, self._published = self._published + 1, self.state.revision
        if first <= self._published:
            for observer in self.observers:
                observer.changed(first, self._published)

    def _apply_all(self, operations: Sequence[commands.Operation], term: int) -> None:
        """What follows one another in an entry of `term`."""
        settle, waiting = self._pending.settle, self._pending.waiting
        for operation in operations:
            settled: Settled
            try:
                if operation.term and operation.term != term:
                    raise errors.leader_lost()
                settled = self._once(operation) if operation.session else self._execute(operation)
            except errors.StoreError as error:
                settled = error
            if operation.request_id in waiting:
                settle(operation.request_id, settled)

    def _once(self, operation: commands.Operation) -> Outcome:
        """Apply an operation of a session, or find that it was. Raises StoreError, for what the session refuses."""
        sessions, sequence = self.state.sessions, operation.sequence
        known = sessions.recall(operation.session, sequence, received=operation.received)
        if known is not None:
            return known
        try:
            outcome = Outcome.of(self._execute(operation))
        except errors.StoreError as error:
            outcome = Outcome(0, b"", error.code.value[0], error.text)
        sessions.remember(operation.session, sequence, outcome)
        return outcome

    def _execute(self, operation: commands.Operation) -> apply.Answer:
        """Apply one operation and tell the observers what they must know at once. Raises StoreError."""
        state, kind, payload = self.state, _KINDS[operation.kind], operation.payload
        who = Who(operation.user, operation.auth_revision) if state.auth.enabled else NOBODY
        if kind not in _MORE:
            return apply.execute(state, kind, payload, who)
        if kind is Kind.COMPACT:
            self._publish()  # before what is new may be forgotten
        answer = apply.execute(state, kind, payload, who)
        if kind is Kind.COMPACT:
            self._sweeper.soon()
            for observer in self.observers:
                observer.compacted(state.compacted)
        elif kind is not Kind.AUTH_ENABLE:
            lease_id = apply.lease_of(kind, payload)
            for observer in self.observers:
                observer.lease_changed(lease_id)
        else:
            # A member that starts knows its snapshot until it hears of a leader, and serves stale reads before that.
            self._bytes_since = max(self._bytes_since, self._snapshot_bytes)
        return answer

    def _release_reads(self) -> None:
        reads = self._waiters.reads
        while reads and reads[0][0] <= self.applied:
            _resolve(heapq.heappop(reads)[2], None)

    # -- snapshots

    def _snapshot_if_due(self) -> None:
        entries = self.applied - self.snapshot_index
        due = entries >= self._snapshot_count or self._bytes_since >= self._snapshot_bytes
        due = due or (self.room.short and entries > 0)
        loop = asyncio.get_running_loop()
        if due and self._snapshotting is None and loop.time() >= self._snapshot_not_before:
            self._snapshotting = loop.create_task(self._snapshot(), name="snapshot")

    def _log_for(self, size: int) -> int:
        """How much log comes before the next snapshot, when the last one has a size; not the same on all members."""
        stagger = 1 - SNAPSHOT_STAGGER * self._random.random()
        return int(max(SNAPSHOT_BYTES_MIN, min(size, SNAPSHOT_BYTES_MAX)) * stagger)

    async def _snapshot(self) -> None:
        covered, began = self._bytes_since, clock.now()
        try:
            self._bytes_since = 0
            capture = await self.capture()
            head = capture.head
            size = await asyncio.to_thread(self._write, capture)
            self.snapshot_index = max(self.snapshot_index, head.index)
            self._snapshot_bytes = self._log_for(size)
            self.driver.compact(head.index)
            seconds = clock.now() - began
            self.snapshot_seconds.observe(seconds)
            log.info("snapshot written", index=head.index, revision=head.revision, seconds=round(seconds, 3))
        except OSError as error:
            self._bytes_since += covered
            self._snapshot_not_before = asyncio.get_running_loop().time() + SNAPSHOT_RETRY_S
            log.error("snapshot not written; the log grows until one is", error=error, retry_s=SNAPSHOT_RETRY_S)
        except Exception as error:
            log.error("snapshot failed, stopping at once", error=f"{type(error).__name__}: {error}", exc_info=error)
            os._exit(70)
        finally:
            self._snapshotting = None
            self._snapshot_again_while_short()

    def _snapshot_again_while_short(self) -> None:
        """On a full disk a snapshot may make room, but not with every entry; nor may it wait for one."""
        if self.room.short and not self._stopped:
            loop = asyncio.get_running_loop()
            self._snapshot_not_before = loop.time() + SNAPSHOT_RETRY_S
            loop.call_at(self._snapshot_not_before, self._snapshot_if_due)

    def _write(self, capture: snapshot.Capture) -> int:
        """Off the loop: even removing a large file takes long. The size of what was written."""
        path = snapshot.write(self._folder / "snap", capture, disk=self._disk)
        snapshot.drop_older(path, disk=self._disk)
        return self._disk.size(path)

    async def capture(self) -> snapshot.Capture:
        """The state as it is now, gathered in slices so that nobody waits for it."""
        state, histories = self.state, list[list[mvcc.Record]]()
        with state.view() as view:
            head = snapshot.Head.of(state, index=self.applied, term=self.applied_term, cluster=self._cluster)
            capture = snapshot.Capture(head, state.copy_of_parts(), histories)
            for batch in view.batches():
                histories.append(batch)
                await asyncio.sleep(0)
        return capture

    async def swept(self) -> None:
        """Return when nothing is left of what compactions up to now made useless."""
        await self._sweeper.swept()

    async def stop(self) -> None:
        """Refuse what waits and finish a snapshot under way."""
        self._stopped = True
        waiters = self._waiters
        self._pending.fail_all(errors.stopped())
        self._pending.close()
        waiting: list[asyncio.Future[Any]] = list(waiters.tickets.values())
        waiting += [read[2] for read in waiters.reads]
        for future in waiting:
            _fail(future, errors.stopped())
        if self._snapshotting is not None:
            await self._snapshotting


def _fail(future: asyncio.Future[Any] | None, error: errors.StoreError) -> None:
    if future is not None and not future.done():
        future.set_exception(error)


def _resolve(future: asyncio.Future[Any] | None, value: object) -> None:
    if future is not None and not future.done():
        future.set_result(value)
