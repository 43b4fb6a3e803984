"""Who may campaign: a pre-vote, so that a member that was cut off cannot depose a leader that others still hear.

Before the library starts an election it must be allowed to by a majority; nobody allows it who heard from a leader
within an election time-out or whose log is ahead. Terms only rise when an election is worth holding.
"""

from __future__ import annotations

import math

from pysyncobj.node import Node

from . import clock
from .guard import BadMessage, Message, Send
from .kernel import Kernel

MESSAGES = frozenset({"prevote?", "prevote!", "term"})


class Election:
    """The pre-vote of one member."""

    def __init__(self, kernel: Kernel, send: Send, *, others: list[Node]) -> None:
        self._kernel = kernel
        self._send = send
        self._others = others
        self._round = 0
        self._allowed_by: set[Node] = set()
        self._allowed_term = 0
        self._heard_at = -math.inf

    def heard_leader(self) -> None:
        self._heard_at = clock.now()
        self._allowed_term = 0

    def leader_lost(self) -> None:
        """The connection to the leader broke: others that lost it too may campaign soon, the rest refuse as ever."""
        self._heard_at = -math.inf
        self._kernel.hasten_election()

    def before_tick(self) -> None:
        """Hold the library's election back until a majority allowed it."""
        kernel = self._kernel
        if not self._others or kernel._isLeader() or kernel.election_deadline() > clock.now():
            return
        if self._allowed_term == kernel.raftCurrentTerm + 1:
            self._allowed_term = 0
            return
        kernel.postpone_election()
        kernel.forget_leader()
        self._round += 1
        self._allowed_by = set()
        last = kernel.journal.last_index
        question = {"type": "prevote?", "round": self._round, "term": kernel.raftCurrentTerm + 1}
        for node in self._others:
            self._send(node, {**question, "last_index": last, "last_term": kernel.journal.term_at(last)})

    def incoming(self, node: Node, message: Message) -> None:
        """One of this module's messages."""
        kind, term = message["type"], message.get("term")
        if type(term) is not int:
            raise BadMessage(kind)
        if kind == "prevote?":
            self._answer(node, message, term)
            return
        if term > self._kernel.raftCurrentTerm:
            self._kernel.adopt_term(term)
        if kind == "prevote!" and message.get("ok") is True and message.get("round") == self._round:
            self._allowed_by.add(node)
            if (len(self._allowed_by) + 1) * 2 > len(self._others) + 1 and not self._kernel._isLeader():
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
