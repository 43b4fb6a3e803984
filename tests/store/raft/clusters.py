"""Kernels whose members stand in their journals, as `changes`, `handover` and `contacts` read them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import kernels
from pysyncobj.node import Node
from raftsman.store.mvcc.members import Dumped, Member

CLUSTER = 0xC


def member(number: int, *, learner: bool = False, started: bool = True) -> Member:
    return Member(number, f"m{number}" if started else "", (f"http://m{number}:2380",), learner=learner)


def led(folder: Path, *members: Member, down: Collection[int] = ()) -> tuple[kernels.Net, dict[int, Any]]:
    """A cluster that its first member leads; those who are down are not connected."""
    net, found = kernels.Net(), {}
    voters = {f"{each.id:x}" for each in members if not each.learner}
    learners = {f"{each.id:x}" for each in members if each.learner}
    for each in members:
        name = f"{each.id:x}"
        made = kernels.Member(net, name, sorted(voters - {name}), folder / name)
        made.journal.replace_members(1, Dumped(CLUSTER, members))
        made.kernel.configure(voters, learners)
        for other in learners - {name}:
            made.transport._onNodeConnected(Node(other))
        found[each.id] = made
    leader = found[members[0].id]
    leader.campaign()
    net.deliver()
    kernels.beat(net, leader)
    assert leader.kernel.serving()
    for number in down:
        leader.transport._onNodeDisconnected(Node(f"{number:x}"))
    return net, found
