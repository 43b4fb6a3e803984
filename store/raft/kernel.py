"""pysyncobj's SyncObj with what it does wrong replaced; the table is in this package's docstring.

Reads the journal and the transport that it is given; writes both. Calls `hooks` with every committed command, in order
and once. Single-threaded: everything here runs on the Raft loop.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import pysyncobj.syncobj as library
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from . import clock
from .appends import Appends
from .journal import WalJournal

APPEND_BYTES_MIN = 4 << 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a leader is heard, when it is missed, how much it sends at once; the same on every member.

    A follower that hears nothing campaigns after `election_s` to twice that; a leader that hears no majority for
    `fallback_s` steps down. `append_bytes` bounds one append message. An entry must stay below: the library would cut
    it into pickled chunks.
    """

    heartbeat_s: float = 0.1
    election_s: float = 1.0
    append_bytes: int = APPEND_BYTES_MIN

    @property
    def fallback_s(self) -> float:
        return 2 * self.election_s


library.monotonicTime = lambda: clock.now()


class Hooks(Protocol):
    """What the kernel asks and tells its owner."""

    def next_entry(self) -> bytes | None:
        """The next entry to append, None when nothing waits or enough is in flight. Asked of leaders only."""

    def committed(self, index: int, term: int, command: bytes) -> None:
        """An entry is committed; `index` grows by one from call to call."""

    def snapshot_wanted(self, node: Node) -> None:
        """A follower lags behind what the log still holds."""


class Kernel(SyncObj):  # type: ignore[misc]
    """One Raft member, driven by `doTick`; `applied` is where the state machine's snapshot ends."""

    def __init__(
        self,
        name: str,
        others: list[str],
        *,
        journal: WalJournal,
        transport: Transport,
        hooks: Hooks,
        random: Random,
        pace: Pace = Pace(),
    ) -> None:
        self._hooks = hooks
        self.pace = pace
        self._random = random
        self.votes = True
        self.journal = journal
        self.appends = Appends(self)
        original = library.createJournal
        library.createJournal = lambda _file: journal
        try:
            super().__init__(
                Node(name), [Node(other) for other in others], _settings(pace), nodeClass=Node, transport=transport
            )
        finally:
            library.createJournal = original
        self._SyncObj__serializer = None
        if not others:
            self.campaign_now()

    # -- who there is

    def configure(self, voters: Collection[str], learners: Collection[str]) -> None:
        """Who counts from now on. What is known of those who stay, also of a learner that may vote now, is kept."""
        me = self.selfNode.id
        self.votes = me in voters
        voting, learning = ({Node(name) for name in sorted(names) if name != me} for names in (voters, learners))
        known = self.peers
        for node in known - voting - learning:
            if node == self.leader:
                self._SyncObj__raftLeader = None
            for of_node in (
                self._SyncObj__raftNextIndex,
                self._SyncObj__raftMatchIndex,
                self._SyncObj__lastResponseTime,
            ):
                of_node.pop(node, None)
            self.appends.forget(node)
        for node in (voting | learning) - known:
            self._SyncObj__raftNextIndex[node] = self.journal.last_index + 1
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__lastResponseTime[node] = clock.now()
        self._SyncObj__otherNodes, self._SyncObj__readonlyNodes = voting, learning
        if self.alone and not self._isLeader():
            self.campaign_now()

    @property
    def voters(self) -> set[Node]:
        """The other members that vote."""
        found: set[Node] = self._SyncObj__otherNodes
        return found

    @property
    def peers(self) -> set[Node]:
        """Every other member."""
        found: set[Node] = self._SyncObj__otherNodes | self._SyncObj__readonlyNodes
        return found

    @property
    def alone(self) -> bool:
        """Whether this is the only member that votes."""
        return self.votes and not self._SyncObj__otherNodes

    def majority(self, agreed: Collection[Node]) -> bool:
        """Whether these and this member are a majority of those who vote."""
        count = sum(node in self._SyncObj__otherNodes for node in agreed) + self.votes
        return count * 2 > len(self._SyncObj__otherNodes) + self.votes

    def alive(self) -> set[Node]:
        """Who answered within an election's time. The leader only."""
        since = clock.now() - self.pace.election_s
        return {
            node for node, at in self._SyncObj__lastResponseTime.items() if at > since and self.isNodeConnected(node)
        }

    def snapshot_wanted(self, node: Node) -> None:
        """It lacks what the log does not hold any more."""
        self._hooks.snapshot_wanted(node)

    def send(self, message: dict[str, object], *, to: Node) -> bool:
        sent: bool = self._SyncObj__transport.send(to, message)
        return sent

    # -- overridden

    def _SyncObj__tryLogCompaction(self) -> None:
        """The store compacts the journal itself, after a snapshot is on disk."""

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self._random.uniform(self.pace.election_s, 2 * self.pace.election_s)

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        index = self.raftLastApplied + 1
        term = self.journal.term_at(index)
        assert term is not None, index
        self._hooks.committed(index, term, command)

    def _SyncObj__onBecomeLeader(self) -> None:
        SyncObj._SyncObj__onBecomeLeader(self)
        self.journal.sync()

    def _checkCommandsToApply(self) -> None:
        if not self._isLeader():
            return
        appended = False
        while (command := self._hooks.next_entry()) is not None:
            assert len(command) < self.pace.append_bytes, len(command)
            self.journal.add(command, self.journal.last_index + 1, self.raftCurrentTerm)
            appended = True
        if appended:
            self.send_appends()

    def _SyncObj__sendAppendEntries(self) -> None:
        self._SyncObj__newAppendEntriesTime = clock.now() + self.pace.heartbeat_s
        for node in self.peers:
            self.appends.send(node, heartbeat=True)

    # -- the library's private state, named

    @property
    def leader(self) -> Node | None:
        found: Node | None = self._SyncObj__raftLeader
        return found

    def election_deadline(self) -> float:
        return float(self._SyncObj__raftElectionDeadline)

    def postpone_election(self) -> None:
        self._SyncObj__raftElectionDeadline = clock.now() + self._SyncObj__generateRaftTimeout()

    def campaign_by(self, at: float) -> None:
        """Do not wait longer than until `at`."""
        self._SyncObj__raftElectionDeadline = min(self._SyncObj__raftElectionDeadline, at)

    def campaign_now(self) -> None:
        self._SyncObj__raftElectionDeadline = 0.0

    def apply_committed(self) -> None:
        """Hand over what is committed, now: who there is must be known before anybody campaigns."""
        self._SyncObj__applyLogEntries()

    def send_appends(self) -> None:
        self._SyncObj__sendAppendEntries()

    def send_owed(self) -> None:
        """Send on to those who acknowledged some of what they lack."""
        if self._isLeader():
            self.appends.send_owed()

    def heartbeat_due(self) -> float:
        return float(self._SyncObj__newAppendEntriesTime)

    def heartbeat_now(self) -> None:
        self._SyncObj__newAppendEntriesTime = 0.0

    def serving(self) -> bool:
        """Whether this is a leader that committed an entry of its own term, so that its commit index is right."""
        no_op = self._SyncObj__noopIDx
        return bool(self._isLeader() and no_op is not None and self.raftCommitIndex >= no_op)

    def next_index(self, node: Node) -> int | None:
        found: int | None = self._SyncObj__raftNextIndex.get(node)
        return found

    def set_next_index(self, node: Node, index: int) -> None:
        self._SyncObj__raftNextIndex[node] = index

    def match_index(self, node: Node) -> int:
        return int(self._SyncObj__raftMatchIndex.get(node, 0))

    def heard_from(self, node: Node) -> None:
        """A follower answered something that is not an ack (a snapshot's chunk): it is alive."""
        self._SyncObj__lastResponseTime[node] = clock.now()

    def is_committed(self, index: int) -> None:
        """Another member knows that this entry, which is here, is committed."""
        if index > self.raftCommitIndex:
            self._SyncObj__raftCommitIndex = index
            self.journal.setRaftCommitIndex(index)

    def adopt_term(self, term: int) -> None:
        """Somebody is at a higher term: follow, with no leader known."""
        assert term > self.raftCurrentTerm
        self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(library._RAFT_STATE.FOLLOWER)
        self._SyncObj__raftLeader = None

    def forget_leader(self) -> None:
        """The leader was not heard for an election time-out: nobody leads as far as this member knows."""
        self._SyncObj__raftLeader = None

    def stand_down(self) -> None:
        """Lead no longer, in the same term: this member cannot write, or must not."""
        if self._isLeader():
            self._SyncObj__setState(library._RAFT_STATE.FOLLOWER)
        self.forget_leader()
        self.postpone_election()

    def start_from(self, index: int, term: int) -> None:
        """The state machine holds everything up to entry `index`: begin there."""
        if self.journal.term_at(index) != term:
            self.journal.reset(index, term)
        self._SyncObj__raftLastApplied = index
        self._SyncObj__raftCommitIndex = max(index, min(self.raftCommitIndex, self.journal.last_index))
        self.journal.setRaftCommitIndex(self.raftCommitIndex)


def _settings(pace: Pace) -> Any:
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=True,
        appendEntriesPeriod=pace.heartbeat_s,
        raftMinTimeout=pace.election_s,
        raftMaxTimeout=2 * pace.election_s,
        leaderFallbackTimeout=pace.fallback_s,
        appendEntriesBatchSizeBytes=pace.append_bytes,
        dynamicMembershipChange=False,
        useFork=False,
    )
