"""Changes of the members on their way into the log: one at a time, and none that would cost the majority.

Only the leader decides, since it alone knows who is alive and how far a learner is: it lets a change into the log as it
was proposed, or as its refusal, so that whoever proposed it learns of that when it is applied. The next one waits until
this one is committed and acted on. Bounds: WAITING_MAX changes, each for WAITING_S.
"""

from __future__ import annotations

from collections import deque

import msgspec
from raftsman.store import commands
from raftsman.store.mvcc import members

from . import clock
from .kernel import Kernel

WAITING_MAX = 64
WAITING_S = 10.0
READY_ENTRIES = 100
"""A learner that lags by no more may be promoted."""


class Changes:
    """What waits at one member."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: deque[tuple[float, commands.Operation]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, operation: commands.Operation) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((clock.now(), operation))

    def take(self) -> commands.Operation | None:
        """The oldest that somebody still waits for."""
        while self._waiting:
            since, operation = self._waiting.popleft()
            if since > clock.now() - WAITING_S:
                return operation
        return None

    @property
    def may_append(self) -> bool:
        """Whether no other change is in the log uncommitted: neither of this leader nor of those before it."""
        return self._kernel.serving() and not self._kernel.journal.change_pending

    def next_entry(self) -> bytes | None:
        """The next change, as it may happen. The leader only."""
        operation = self.take() if self._waiting and self.may_append else None
        if operation is None:
            return None
        change = members.decode(operation.payload)
        refusal = self._refusal(change)
        if refusal:
            change = msgspec.structs.replace(change, action=members.Action.REFUSE, refusal=refusal)
            operation = msgspec.structs.replace(operation, payload=members.encode(change))
        return commands.encode_change(operation)

    # -- the rules

    def _refusal(self, change: members.Change) -> str:
        (member,) = change.members
        known = self._kernel.journal.members.get(member.id)
        if change.action is members.Action.ADD:
            return self._refuse_add(member)
        if change.action is members.Action.PROMOTE and known is not None and known.learner:
            return self._refuse_promotion(member)
        if change.action is members.Action.REMOVE and known is not None and not known.learner:
            return self._refuse_removal(member)
        return ""

    def _refuse_add(self, member: members.Member) -> str:
        voters = self._voters()
        started = _started(voters)
        grows_alone = started == len(voters) == 1
        if not member.learner and not grows_alone and started < _majority(len(voters) + 1):
            return "not enough started"
        return "" if len(self._alive(voters)) == len(voters) else "unhealthy"

    def _refuse_promotion(self, member: members.Member) -> str:
        kernel = self._kernel
        node = next((node for node in kernel.peers if node.id == f"{member.id:x}"), None)
        match = kernel.match_index(node) if node in kernel.alive() else 0
        if not match or kernel.journal.last_index - match > READY_ENTRIES:
            return "learner not ready"
        voters = self._voters()
        return "" if _started(voters) + 1 >= _majority(len(voters) + 1) else "not enough started"

    def _refuse_removal(self, member: members.Member) -> str:
        """Who is down may always go: it is no part of the majority that is alive."""
        voters = self._voters()
        rest = [voter for voter in voters if voter.id != member.id]
        if _started(rest) < _majority(len(rest)):
            return "not enough started"
        alive = self._alive(voters)
        if member.id in alive and len(alive) - 1 < _majority(len(voters) - 1):
            return "unhealthy"
        return ""

    def _voters(self) -> list[members.Member]:
        return self._kernel.journal.members.voters()

    def _alive(self, voters: list[members.Member]) -> set[int]:
        alive = {node.id for node in self._kernel.alive()} | {self._kernel.selfNode.id}
        return {voter.id for voter in voters if f"{voter.id:x}" in alive}


def _started(voters: list[members.Member]) -> int:
    """How many have served: those have a name."""
    return sum(bool(voter.name) for voter in voters)


def _majority(count: int) -> int:
    return count // 2 + 1
