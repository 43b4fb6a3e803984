"""Moving leadership to another member without an election's time without a leader.

The leader takes in nothing new, waits until the other has its whole log, and asks it to campaign at once. It gives up
after an election's time and goes on as before.
"""

from __future__ import annotations

from pysyncobj.node import Node

from . import clock
from .guard import Send
from .kernel import Kernel


class Handover:
    """The hand-over that is under way, if one is."""

    def __init__(self, kernel: Kernel, send: Send) -> None:
        self._kernel = kernel
        self._send = send
        self._target: Node | None = None
        self._until = 0.0
        self._ask_at = 0.0

    @property
    def active(self) -> bool:
        return self._target is not None

    @property
    def deadline(self) -> float | None:
        """When `turn` must be called at the latest."""
        return min(self._until, self._ask_at) if self.active else None

    def start(self, name: str | None) -> None:
        """Hand over to a voter, to the one with most of the log when none is named. The leader only."""
        target = Node(name) if name else self._best()
        if target in self._kernel.voters and self._kernel._isLeader():
            now = clock.now()
            self._target, self._until, self._ask_at = target, now + self._kernel.pace.election_s, now

    def turn(self) -> None:
        """Ask once the other is ready; after every tick."""
        kernel, target, now = self._kernel, self._target, clock.now()
        if target is None:
            return
        if not kernel._isLeader() or target not in kernel.voters or now >= self._until:
            self._target = None
        elif now >= self._ask_at:
            self._ask_at = now + kernel.pace.heartbeat_s
            if kernel.match_index(target) == kernel.journal.last_index:
                self._ask(target)

    def _ask(self, target: Node) -> None:
        self._send(target, {"type": "take over", "term": self._kernel.raftCurrentTerm})

    def _best(self) -> Node | None:
        kernel = self._kernel
        connected = [node for node in kernel.voters if kernel.isNodeConnected(node)]
        return max(connected, key=lambda node: (kernel.match_index(node), node.id), default=None)
