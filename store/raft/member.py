"""One member on its Raft loop: what arrives, when to tick, when to sync, what to tell the others.

There is no periodic timer. A tick follows a message or a proposal, and the next deadline that the kernel, a read or a
transfer has; a lone member that is idle has none. Within a tick: append what waits as one entry, send it, sync the log
once, then let the acks go. A failure on the way (disk, broken invariant) is `fatal`: nothing is answered after it.
Bounds: IN_FLIGHT_MAX uncommitted entries; see `proposals` for what waits to become one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from pysyncobj.node import Node
from raftsman import logs
from raftsman.store import commands, snapshot
from raftsman.store.mvcc import members as membership
from raftsman.store.wal.disk import REAL, Disk

from . import changes, clock, contacts, election, events, handover, reads, transfer, transport
from .guard import BadMessage, Guard, Message
from .journal import Beginning, WalJournal
from .kernel import Kernel, Pace
from .proposals import Proposals
from .transport import PeerTls, PeerTransport, Upcalls

IN_FLIGHT_MAX = 8
IN_FLIGHT_FEW_MAX = 2
IN_FLIGHT_BYTES = 1 << 20
"""Beyond IN_FLIGHT_FEW_MAX an entry must be worth its sync, and those before it be small together: two of the largest
fit into the log's margin."""
TURNS_MAX = 64
COMMIT_NEWS_S = 0.003
MARGIN_BYTES = 64 << 10
"""Small records beside two appends of the largest size."""
LINGER_S = 30.0
"""How long a member that was removed waits for somebody who knows it too: perhaps only its log says so."""
ROOM_S = 1.0
"""How often a full disk is looked at again."""
TRAILING_ENTRIES_MAX = 5000
TRAILING_BYTES_MAX = 4 << 20

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """A member's place in its cluster; who else is in it stands in the log.

    `instance` names its data directory, `cluster` is the cluster's id in hex. `beginning` is what a new log begins
    with, None for a member that has one.
    """

    member: int
    cluster: str
    instance: str
    listen: list[tuple[str, int]]
    tls: PeerTls | None
    snapshots: Path
    beginning: Beginning | None = None
    pace: Pace = field(default_factory=Pace)
    disk: Disk = REAL
    random: Random = field(default_factory=SystemRandom)
    """Draws election time-outs."""

    @property
    def margin_bytes(self) -> int:
        """What a message or a turn may add to the log at most."""
        return 2 * self.pace.append_bytes + MARGIN_BYTES

    @property
    def name(self) -> str:
        """The member's id as Raft knows it."""
        return f"{self.member:x}"


class Member:
    """Everything that runs on the Raft loop."""

    def __init__(
        self,
        settings: Settings,
        journal: WalJournal,
        *,
        tell: Callable[[events.Event], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._tell = tell
        self._fatal = fatal
        self._dead = False
        self._proposals = Proposals(election_s=settings.pace.election_s)
        self._committed: list[tuple[int, int, bytes]] = []
        self._role = events.Role(None, False, 0)
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._news_due = False
        self._transport = PeerTransport(
            settings.name, cluster=settings.cluster, instance=settings.instance, tls=settings.tls
        )
        self._guard = Guard(self._transport.post)
        self._kernel = Kernel(
            settings.name,
            [f"{voter.id:x}" for voter in journal.members.voters() if voter.id != settings.member],
            journal=journal,
            transport=self._transport,
            hooks=self,
            random=settings.random,
            pace=settings.pace,
        )
        self._guard.attach(self._kernel, self._transport.deliver)
        post = self._transport.post
        self._reads = reads.Reads(self._kernel, post)
        self._election = election.Election(self._kernel, post)
        self._handover = handover.Handover(self._kernel, post)
        self._changes = changes.Changes(self._kernel)
        self._contacts = contacts.Contacts(
            self._kernel,
            self._transport,
            contacts.Self(settings.member, settings.instance, settings.cluster),
            tls=settings.tls.client if settings.tls else None,
            dismiss=self._dismiss,
            committed=self.kick,
        )
        self._transfer = transfer.Transfer(
            self._kernel, post, folder=settings.snapshots, disk=settings.disk, installed=self._snapshot_arrived
        )
        self._calls: dict[int, Node] = {}
        self._margin = settings.margin_bytes
        self._room_told = events.Room(short=False, full=False)
        self._look_at = 0.0
        self._removed = self._dismissed = False
        self._loop = asyncio.get_running_loop()
        self.alone_from: int | None = None
        """The entry since which this member is the only one that votes, None when others do. Any thread may read it."""

    @property
    def traffic(self) -> dict[str, transport.Traffic]:
        """Bytes to and from each peer. Any thread may ask."""
        return dict(self._transport.traffic)

    async def start(self, index: int, term: int, dumped: membership.Dumped) -> None:
        """Begin behind the snapshot that the state machine was loaded from, with the members of then.

        Without one that is entry 0 of term 0, and nobody.
        """
        if index > self._journal.changed:
            self._journal.replace_members(index, dumped)
        self._kernel.start_from(index, term)
        self._adopt_members()
        self._journal.sync()
        self._transport.upcalls = Upcalls(
            received=self._received,
            library_sends=self._guard.outgoing,
            up=self._peer_up,
            down=self._peer_down,
            settled=self.kick,
            refuse=self._refuse,
            refused=self._refused,
            members=self._contacts.answer,
            expected=self._expected,
        )
        await self._transport.start(self._settings.listen)
        self._tick()

    def stop(self) -> None:
        self._dead = True
        if self._timer is not None:
            self._timer.cancel()
        self._contacts.stop()
        self._kernel._doDestroy()

    # -- what the store asks, on this loop

    def propose(self, chunks: list[commands.Chunk]) -> None:
        """Get operations into the log, here or through the leader. No answer but their being applied."""
        for chunk in chunks:
            self._proposals.add(chunk)
        self.kick()

    def change(self, operation: commands.Operation) -> None:
        """Change the members, here or through the leader. No answer but its being applied."""
        self._changes.add(operation)
        self.kick()

    def hand_over(self, name: str | None) -> None:
        """Let another member lead, if this one does."""
        self._handover.start(name)
        self.kick()

    def read(self, ticket: int) -> None:
        self._reads.ask(lambda index: self._tell(events.ReadIndex(ticket, index)))
        self.kick()

    def call(self, number: int, payload: bytes) -> None:
        """Ask the leader's state machine; answered with None at once when there is no other leader."""
        leader = self._kernel.leader
        sent = leader is not None and self._transport.post(leader, {"type": "call", "n": number, "payload": payload})
        if sent and leader is not None:
            self._calls[number] = leader
        else:
            self._tell(events.Answered(number, None))

    def answer(self, peer: str, number: int, payload: bytes) -> None:
        self._transport.post(Node(peer), {"type": "answer", "n": number, "payload": payload})

    def compact(self, index: int) -> None:
        """A snapshot up to `index` is on disk: forget what is older, but for what laggards may need."""
        if not self._journal.short:
            index = self._transfer.needed_from(index)
        self._journal.compact(index, entries_max=TRAILING_ENTRIES_MAX, bytes_max=TRAILING_BYTES_MAX)

    def kick(self) -> None:
        """Tick soon."""
        if not self._due and not self._dead:
            self._due = True
            self._loop.call_soon(self._tick)

    # -- ticking

    def _tick(self) -> None:
        self._due = False
        if self._dead:
            return
        try:
            self._turn()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._dead = True
        self._fatal(error)

    def _turn(self) -> None:
        if not self._has_room():
            self._report()
            self._schedule()
            return
        self._kernel.apply_committed()
        self._journal.sync()
        self._election.before_tick()
        self._forward()
        for _ in range(TURNS_MAX):
            self._kernel.doTick(0.0)
            self._journal.sync()
            self._guard.release()
            self._report()
            if not self._more_now():
                break
            if self._journal.room < self._margin:
                self.kick()
                break
        else:
            self.kick()
        self._kernel.send_owed()
        if self._removed and self._kernel._isLeader() and not self._handover.active:
            self._leave_office()
        self._spread_commit()
        self._reads.turn()
        self._handover.turn()
        if not self._dismissed:
            self._contacts.turn()
        self._schedule()

    def _has_room(self) -> bool:
        """Whether the log takes whatever comes next. Without room this member stands still, as if it were cut off."""
        journal, now = self._journal, clock.now()
        if journal.short and now >= self._look_at and not journal.reserve():
            self._look_at = now + ROOM_S
        if journal.room < self._margin:
            journal.sync()  # what waits always fits
        room = events.Room(short=journal.short, full=journal.room < self._margin)
        if room != self._room_told:
            self._room_told = room
            self._tell(room)
            log.warning("room for the log", another_segment=not room.short, anything=not room.full)
            if room.full and self._kernel.voters:
                self._kernel.stand_down()
        return not room.full

    def _more_now(self) -> bool:
        kernel = self._kernel
        if kernel.raftLastApplied < kernel.raftCommitIndex:
            return True
        if not kernel._isLeader():
            return False
        return (kernel.alone and kernel.raftCommitIndex < self._journal.last_index) or self._wants_entry()

    def _report(self) -> None:
        if self._committed:
            self._tell(events.Committed(self._committed))
            self._committed = []
        kernel = self._kernel
        leader = kernel.leader
        role = events.Role(leader.id if leader else None, kernel.serving(), kernel.raftCurrentTerm)
        if role != self._role:
            self._role = role
            self._tell(role)
            log.info("raft role", leader=role.leader, leading=role.leading, term=role.term)

    def _spread_commit(self) -> None:
        """Followers learn of a commit with the next message; when none is sent, soon by one of its own."""
        kernel = self._kernel
        if not self._news_due and kernel._isLeader() and not kernel.appends.all_know(kernel.raftCommitIndex):
            self._news_due = True
            self._loop.call_later(COMMIT_NEWS_S, self._commit_news, kernel.raftCommitIndex)

    def _commit_news(self, commit: int) -> None:
        self._news_due = False
        if self._kernel._isLeader() and not self._kernel.appends.all_know(commit):
            self._kernel.heartbeat_now()
            self.kick()
        else:
            self._spread_commit()

    def _schedule(self) -> None:
        """Wake up for the next deadline; without one, not at all."""
        deadlines = [self._look_at] if self._room_told.short else []
        if not self._room_told.full:
            if self._kernel.peers:
                leads = self._kernel._isLeader()
                deadlines.append(self._kernel.heartbeat_due() if leads else self._kernel.election_deadline())
            deadlines += [at for at in (self._reads.deadline, self._handover.deadline) if at is not None]
        if not deadlines:
            return
        at = min(deadlines)
        if self._timer is not None and self._timer_at <= at and not self._timer.cancelled():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.001, at - clock.now() + 0.001), self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._tick()

    # -- kernel.Hooks

    def next_entry(self) -> bytes | None:
        if not self._wants_entry():
            return None
        if self._changes and self._changes.may_append:
            return self._changes.next_entry()
        chunks = self._proposals.take()
        return commands.join(chunks) if chunks else None

    def _wants_entry(self) -> bool:
        """Whether an entry should be appended now. Nothing is, while somebody else is about to lead."""
        if self._removed or self._handover.active or not self._room():
            return False
        return bool(self._proposals) or (bool(self._changes) and self._changes.may_append)

    def _room(self) -> bool:
        journal, commit = self._journal, self._kernel.raftCommitIndex
        under_way = journal.last_index - commit
        if under_way < IN_FLIGHT_FEW_MAX:
            return True
        full = under_way < IN_FLIGHT_MAX and self._proposals.many
        return full and journal.bytes_after(commit) <= IN_FLIGHT_BYTES

    def committed(self, index: int, term: int, command: bytes) -> None:
        self._committed.append((index, term, command))
        if index > self._journal.changed and commands.is_change(command):
            self._journal.change(index, command)
            self._journal.sync()  # before anybody hears that it is committed: who goes then is not asked again
            self._adopt_members()

    def snapshot_wanted(self, node: Node) -> None:
        self._transfer.start(node)

    # -- members

    def _adopt_members(self) -> None:
        """Act on who belongs to the cluster now: who votes, who is sent what, and where everybody is."""
        found, me = self._journal.members, self._settings.member
        self.alone_from = None
        if found.was_removed(me) and not self._removed:
            self._removed = True
            self._loop.call_later(LINGER_S, self._dismiss, events.REMOVED)
        self._kernel.configure(
            {f"{member.id:x}" for member in found.voters()}, {f"{member.id:x}" for member in found.learners()}
        )
        self._transport.configure(self._contacts.reachable(), removed=found.was_removed)
        if self._kernel.alone:
            self.alone_from = self._journal.changed

    def _dismiss(self, reason: str) -> None:
        if not self._dismissed:
            self._dismissed = True
            self._tell(events.Dismissed(reason))

    def _leave_office(self) -> None:
        """This leader was removed: the others learn that it is committed, and one of them takes over.

        Perhaps nobody else knows: it goes on until one that does hangs up on it.
        """
        self._kernel.send_appends()
        self._handover.start(None)

    def _expected(self, node: Node) -> bool:
        leader = self._kernel.leader
        return leader is None or leader == node or self._kernel._isLeader()

    def _refuse(self, member_id: int, instance: str) -> str:
        """Why another member may not take part; one that may is known from now on by its data directory."""
        found = self._journal.members
        if found.was_removed(member_id):
            return transport.REMOVED
        known = self._journal.instance(member_id)
        if known is not None and known != instance:
            return transport.LOST
        if known is None and found.get(member_id) is not None:
            try:
                self._journal.remember_instance(member_id, instance)
            except Exception as error:
                self._fail(error)
                raise
        return ""

    def _refused(self, reason: str) -> None:
        if reason in (transport.REMOVED, transport.LOST):
            self._dismiss(events.REMOVED if reason == transport.REMOVED else events.LOST)

    # -- peers

    def _forward(self) -> None:
        """A follower's operations go to the leader; they wait while there is none."""
        leader = self._kernel.leader
        if leader is None or self._kernel._isLeader():
            return
        while self._changes and self._transport.connected(leader):
            operation = self._changes.take()
            if operation is not None:
                self._transport.post(leader, {"type": "change", "entry": commands.encode_change(operation)})
        while self._proposals and self._transport.connected(leader):
            chunks = self._proposals.take()
            if chunks:
                self._transport.post(leader, {"type": "propose", "entry": commands.join(chunks)})

    def _received(self, node: Node, message: Message) -> None:
        if self._dead or self._room_told.full:
            return
        if self._journal.room < self._margin and not self._has_room():
            self.kick()
            return
        try:
            self._dispatch(node, message)
        except BadMessage:
            raise
        except Exception as error:
            self._fail(error)

    def _dispatch(self, node: Node, message: Message) -> None:
        kind = message.get("type")
        if kind in reads.MESSAGES:
            self._reads.incoming(node, message)
        elif kind in election.MESSAGES:
            self._election.incoming(node, message)
        elif kind in transfer.MESSAGES:
            self._transfer.incoming(node, message)
        elif kind == "propose":
            self.propose([_proposed(message.get("entry"))])
        elif kind == "change":
            self.change(_proposed_change(message.get("entry")))
        elif kind in ("call", "answer"):
            self._call_message(node, message)
        else:
            self._guard.incoming(node, message)
        if kind in ("append_entries", "snapshot") and message.get("term") == self._kernel.raftCurrentTerm:
            self._election.heard_leader()

    def _call_message(self, node: Node, message: Message) -> None:
        number, payload = message.get("n"), message.get("payload")
        if type(number) is not int or type(payload) is not bytes:
            raise BadMessage(message["type"])
        if message["type"] == "call":
            self._tell(events.Called(node.id, number, payload))
        elif self._calls.pop(number, None) is not None:
            self._tell(events.Answered(number, payload))

    def _peer_up(self, node: Node) -> None:
        """Whatever was under way on the old connection is gone: send again from what is known to have arrived."""
        match = self._kernel.match_index(node)
        if self._kernel._isLeader():
            if match:
                self._kernel.set_next_index(node, match + 1)
            self._kernel.heartbeat_now()
        self.kick()

    def _peer_down(self, node: Node) -> None:
        self._transfer.stop(node)
        self._kernel.appends.forget(node)
        if node == self._kernel.leader:
            self._election.leader_lost(node)
        for number in [number for number, leader in self._calls.items() if leader == node]:
            del self._calls[number]
            self._tell(events.Answered(number, None))
        self.kick()

    def _snapshot_arrived(self, path: Path, index: int, term: int) -> None:
        parts = snapshot.parts(path, disk=self._settings.disk)
        if index > self._journal.changed:  # who has just joined knows the members of a later entry than the snapshot
            self._journal.replace_members(index, membership.loaded(parts.get("members")))
        self._kernel.start_from(index, term)
        self._adopt_members()
        self._tell(events.Installed(path, index))


def _proposed_change(entry: object) -> commands.Operation:
    if not isinstance(entry, bytes) or not commands.is_change(entry):
        raise BadMessage("change")
    try:
        (operation,) = commands.decode(entry)
        change = membership.decode(operation.payload)
    except ValueError as error:
        raise BadMessage(f"change: {error}") from error
    if change.action not in membership.PROPOSED or len(change.members) != 1:
        raise BadMessage(f"change: {change.action.name} of {len(change.members)} members")
    return operation


def _proposed(entry: object) -> commands.Chunk:
    if not isinstance(entry, bytes) or len(entry) < 2:
        raise BadMessage("propose")
    try:
        return commands.chunk_of(entry)
    except (commands.UnknownVersion, ValueError) as error:
        raise BadMessage(f"propose: {error}") from error
