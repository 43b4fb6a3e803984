"""Who may campaign: a pre-vote, so that a member that was cut off cannot depose a leader that others still hear.

Before the library starts an election it must be allowed to by a majority; nobody allows it who heard from a leader
within an election's time or whose log is ahead. Terms only rise when an election is worth holding. Learners and removed
members never campaign; they vote when they are asked, since whoever asks may know that they may. The one exception is
the leader's own wish: whom it asks to take over campaigns at once.
"""

from __future__ import annotations

import math

from pysyncobj.node import Node

from . import clock
from .guard import BadMessage, Message, Send
from .kernel import Kernel

MESSAGES = frozenset({"prevote?", "prevote!", "term", "take over"})
LOST_FIRST = 0.05
LOST_NEXT = 0.1
"""Shares of an election's time: when the leader's connection breaks, members campaign one after the other."""


class Election:
    """The pre-vote of one member."""

    def __init__(self, kernel: Kernel, send: Send) -> None:
        self._kernel = kernel
        self._send = send
        self._round = 0
        self._allowed_by: set[Node] = set()
        self._allowed_term = 0
        self._heard_at = -math.inf

    def heard_leader(self) -> None:
        self._heard_at = clock.now()
        self._allowed_term = 0

    def leader_lost(self, leader: Node) -> None:
        """The connection to the leader broke: others that lost it too may campaign soon, the rest refuse as ever."""
        kernel = self._kernel
        self._heard_at = -math.inf
        before = sum(
            node.id < kernel.selfNode.id for node in kernel.voters if node != leader and kernel.isNodeConnected(node)
        )
        kernel.campaign_by(clock.now() + kernel.pace.election_s * (LOST_FIRST + LOST_NEXT * before))

    def before_tick(self) -> None:
        """Hold the library's election back until a majority allowed it."""
        kernel = self._kernel
        if kernel._isLeader() or kernel.election_deadline() > clock.now():
            return
        assert kernel.raftLastApplied == kernel.raftCommitIndex, "who votes may have changed"
        if not kernel.votes:
            kernel.postpone_election()
            kernel.forget_leader()
            for node in kernel.voters:  # a connection that broke in silence shows when it is used
                self._send(node, {"type": "term", "term": kernel.raftCurrentTerm})
            return
        if kernel.alone or self._allowed_term == kernel.raftCurrentTerm + 1:
            self._allowed_term = 0
            return
        kernel.postpone_election()
        kernel.forget_leader()
        self._round += 1
        self._allowed_by = set()
        last = kernel.journal.last_index
        question = {"type": "prevote?", "round": self._round, "term": kernel.raftCurrentTerm + 1}
        for node in kernel.voters:
            self._send(node, {**question, "last_index": last, "last_term": kernel.journal.term_at(last)})

    def incoming(self, node: Node, message: Message) -> None:
        """One of this module's messages."""
        kind, term = message["type"], message.get("term")
        if type(term) is not int:
            raise BadMessage(kind)
        if kind == "prevote?":
            self._answer(node, message, term)
            return
        kernel = self._kernel
        if term > kernel.raftCurrentTerm:
            kernel.adopt_term(term)
        if kind == "take over":
            if node == kernel.leader and term == kernel.raftCurrentTerm and kernel.votes:
                self._campaign()
        elif kind == "prevote!" and message.get("ok") is True and message.get("round") == self._round:
            self._allowed_by.add(node)
            if kernel.majority(self._allowed_by) and not kernel._isLeader():
                self._campaign()

    def _campaign(self) -> None:
        self._round += 1  # what else is answered to this one is late
        self._allowed_term = self._kernel.raftCurrentTerm + 1
        self._kernel.campaign_now()

    def _answer(self, node: Node, message: Message, term: int) -> None:
        kernel = self._kernel
        last_index, last_term = message.get("last_index"), message.get("last_term")
        if type(last_index) is not int or type(last_term) is not int:
            raise BadMessage("prevote?")
        mine = kernel.journal.last_index
        ahead = (last_term, last_index) >= (kernel.journal.term_at(mine), mine)
        quiet = not kernel._isLeader() and clock.now() - self._heard_at >= kernel.pace.election_s
        allowed = term > kernel.raftCurrentTerm and ahead and quiet
        self._send(
            node, {"type": "prevote!", "round": message.get("round"), "term": kernel.raftCurrentTerm, "ok": allowed}
        )
