"""Linearizable reads without a log entry: ReadIndex.

A leader notes its commit index, asks every member whether it is still the leader, and when a majority agrees, whatever
was read at that index or later is up to date. All reads that arrive while a round runs share the next one. A follower
asks the leader. Every read is answered, with None when nobody could confirm; the caller decides about trying again.
"""

from __future__ import annotations

from collections.abc import Callable

from pysyncobj.node import Node

from . import clock
from .guard import BadMessage, Message, Send
from .kernel import Kernel

ROUND_S = 0.5
WAITING_MAX = 20_000

Answer = Callable[[int | None], None]


class Reads:
    """The reads that wait at one member."""

    def __init__(self, kernel: Kernel, send: Send) -> None:
        self._kernel = kernel
        self._send = send
        self._waiting: list[Answer] = []
        self._round: list[Answer] = []
        self._round_number = 0
        self._round_index = 0
        self._round_deadline = 0.0
        self._agreed: set[Node] = set()
        self._asked: dict[int, tuple[float, Answer]] = {}
        self._ask_number = 0

    def ask(self, answer: Answer) -> None:
        """Call `answer` with an index that must be applied before reading, or with None."""
        if len(self._waiting) + len(self._asked) >= WAITING_MAX:
            answer(None)
        else:
            self._waiting.append(answer)

    @property
    def deadline(self) -> float | None:
        """When `turn` must be called at the latest."""
        deadlines = [self._round_deadline] if self._round else []
        deadlines += [next(iter(self._asked.values()))[0]] if self._asked else []
        return min(deadlines, default=None)

    def turn(self) -> None:
        """Start, forward, finish or give up what waits; after every tick."""
        now = clock.now()
        kernel = self._kernel
        if self._round and (not kernel._isLeader() or now >= self._round_deadline):
            self._finish(None)
        while self._asked and next(iter(self._asked.values()))[0] <= now:
            self._asked.pop(next(iter(self._asked)))[1](None)
        if not self._waiting:
            return
        if kernel._isLeader():
            if kernel.serving() and not self._round:
                self._start(now)
        elif kernel.leader is not None:
            self._forward(kernel.leader, now)

    def _start(self, now: float) -> None:
        self._round, self._waiting = self._waiting, []
        self._round_number += 1
        self._round_index = self._kernel.raftCommitIndex
        self._round_deadline = now + ROUND_S
        self._agreed = set()
        for node in self._kernel.voters:
            self._send(node, {"type": "lead?", "round": self._round_number, "term": self._kernel.raftCurrentTerm})
        self._count()

    def _count(self) -> None:
        if self._kernel.majority(self._agreed):
            self._finish(self._round_index)

    def _finish(self, index: int | None) -> None:
        round_, self._round = self._round, []
        for answer in round_:
            answer(index)

    def _forward(self, leader: Node, now: float) -> None:
        """One question for everything that waits here."""
        waiting, self._waiting = self._waiting, []
        self._ask_number += 1
        number = self._ask_number

        def share(index: int | None) -> None:
            for answer in waiting:
                answer(index)

        self._asked[number] = (now + 2 * ROUND_S, share)
        if not self._send(leader, {"type": "index?", "ask": number}):
            self._asked.pop(number)
            share(None)

    def incoming(self, node: Node, message: Message) -> None:
        """One of this module's messages."""
        kind = message["type"]
        number = message.get("round", message.get("ask"))
        if type(number) is not int:
            raise BadMessage(kind)
        if kind == "lead?":
            term = self._kernel.raftCurrentTerm
            self._send(node, {"type": "lead!", "round": number, "term": term, "ok": message.get("term") == term})
        elif kind == "lead!":
            current = number == self._round_number and message.get("term") == self._kernel.raftCurrentTerm
            if self._round and current and message.get("ok") is True:
                self._agreed.add(node)
                self._count()
        elif kind == "index?":
            self.ask(lambda index: self._reply(node, number, index))
        elif number in self._asked:
            index = message.get("index")
            self._asked.pop(number)[1](index if type(index) is int else None)

    def _reply(self, node: Node, number: int, index: int | None) -> None:
        self._send(node, {"type": "index!", "ask": number, "index": index})


MESSAGES = frozenset({"lead?", "lead!", "index?", "index!"})
