"""Mistakes put back in on purpose: the library's own, and those that a store must not make. Each must be caught.

A control changes the code under test for one run; `faults` are those under which the mistake can show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from raftsman.store.raft import guard
from raftsman.store.raft.journal import WalJournal
from raftsman.store.raft.member import Member
from raftsman.store.replica import Replica

from .disk import SimDisk
from .run import Plan, Result, Run, simulate


@contextmanager
def patched(*places: tuple[Any, str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, instead in places:
            stack.enter_context(mock.patch.object(owner, name, instead))
        yield


def no_sync(run: Run) -> Any:
    """The disk says that it synced. The library does not even ask."""
    for machine in run.machines.values():
        machine.platter.habits.forgets = True
    return patched()


def names_not_synced(run: Run) -> Any:
    """Files are synced, the folders that name them are not."""
    return patched((SimDisk, "sync_folder", lambda disk, folder: None))


def stock_appends(run: Run) -> Any:
    """The library's own: truncate whatever is behind prevLogIdx, rewind nextIndex at every ack."""

    def passed(self: guard.Guard, node: Any, message: Any, entries: Any) -> None:
        self._pass(node, message)

    return patched((guard.Guard, "_truncate_only_conflicts", passed), (guard.Guard, "_ack", guard.Guard._pass))


def acks_before_sync(run: Run) -> Any:
    """The library's own: an entry is acknowledged when it is in memory."""

    def outgoing(self: guard.Guard, node: Any, message: Any) -> bool:
        assert self._kernel is not None
        if message["type"] == "next_node_idx":
            message["term"] = self._kernel.raftCurrentTerm
            if message["success"] and self._ack_below is not None:
                message["next_node_idx"] = min(message["next_node_idx"], self._ack_below)
        return self._send(node, message)

    return patched((guard.Guard, "outgoing", outgoing))


def votes_not_synced(run: Run) -> Any:
    """The library's own: term and vote are written before the vote is given, and synced some time."""

    def set_term(self: WalJournal, term: int, vote: str | None) -> None:
        self._meta.term, self._meta.vote = term, vote

    return patched((WalJournal, "setCurrentTerm", set_term))


def stale_reads(run: Run) -> Any:
    """The library's own: a read is answered from whatever is here."""

    async def at_once(self: Replica) -> None:
        return

    return patched((Replica, "up_to_date", at_once))


def leader_reads(run: Run) -> Any:
    """A leader answers from what is here without asking whether it still is one."""

    def read(self: Member, ticket: int) -> None:
        original(self, ticket)
        reads = self._reads
        if self._kernel._isLeader() and reads._waiting:
            reads._waiting, waiting = [], reads._waiting
            for answer in waiting:
                answer(self._kernel.raftCommitIndex)

    original = Member.read
    return patched((Member, "read", read))


@dataclass(frozen=True)
class Control:
    """A mistake, what shows it, and the promise that it breaks, as the sentence says it that finds it.

    `also` is what may come of it in other runs, without saying which mistake it was.
    """

    name: str
    alter: Callable[[Run], Any]
    faults: tuple[str, ...]
    found: str
    seeds: int
    every_s: float = 1.0
    also: str = "nothing else"


_STUCK = "s after everything was mended"
_LOST = "leads term .* without committed|truncates committed|committed entry .* it was of term"

CONTROLS = (
    Control("no sync", no_sync, ("power", "power of all"), "is back in term", 20, also=f"{_LOST}|{_STUCK}"),
    Control(
        "names not synced", names_not_synced, ("power", "power of all"), "is back in term", 20, also=f"{_LOST}|{_STUCK}"
    ),
    Control("stock appends", stock_appends, ("part", "drop connections", "kill"), "truncates committed", 20),
    Control(
        "acks before sync",
        acks_before_sync,
        ("die at the disk", "isolate", "power"),
        _LOST,
        60,
        every_s=0.4,
        also=_STUCK,
    ),
    Control("votes not synced", votes_not_synced, ("die at the disk",), "is back in term|voted in term", 20),
    Control("stale reads", stale_reads, ("part", "pause", "slow link"), "not linearizable", 20),
    Control("leader reads", leader_reads, ("cut off the leader",), "not linearizable", 60, 3.0),
)


def plan_of(control: Control, number: int) -> Plan:
    drawn = Plan.drawn(f"{control.name} {number}", members=3, seconds=10.0, kinds=control.faults)
    return replace(drawn, clients=8, keys=3, every_s=control.every_s, replaced=False, resized=False)


def find(control: Control) -> Result | None:
    """The first run that catches it, or that is broken in a way of which the control says nothing."""
    for number in range(control.seeds):
        result = simulate(plan_of(control, number), alteration=control.alter)
        if result.broken and not re.search(control.also, result.broken):
            return result
    return None
