"""Campaigns need a majority's leave, and terms are never ignored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kernels import led, members
from pysyncobj.node import Node
from raftsman.store.raft import election


def elections(found: list[Any]) -> dict[str, election.Election]:
    return {member.name: election.Election(member.kernel, member.post) for member in found}


def exchange(net: Any, of: dict[str, election.Election]) -> None:
    """Deliver the pre-vote's messages only."""
    for _ in range(4):
        for (sender, receiver), queue in list(net.queues.items()):
            for _ in range(len(queue)):
                message = queue.popleft()
                if message["type"] in election.MESSAGES:
                    of[receiver].incoming(Node(sender), message)


def test_a_member_campaigns_once_a_majority_allows_it(tmp_path: Path) -> None:
    net, found = members(tmp_path)
    of = elections(found)
    found[0].kernel.campaign_now()
    of[found[0].name].before_tick()
    found[0].tick()
    assert found[0].kernel.raftCurrentTerm == 0, "it asked, it did not campaign"
    exchange(net, of)
    of[found[0].name].before_tick()
    found[0].tick()
    assert found[0].kernel.raftCurrentTerm == 1


def test_who_hears_a_leader_allows_no_campaign(tmp_path: Path) -> None:
    net, found = led(tmp_path)
    of = elections(found)
    net.queues.clear()
    of[found[1].name].heard_leader()
    term = found[2].kernel.raftCurrentTerm
    found[2].kernel.campaign_now()
    of[found[2].name].before_tick()
    exchange(net, of)
    of[found[2].name].before_tick()
    found[2].tick()
    assert found[2].kernel.raftCurrentTerm == term


def test_who_lost_the_leader_too_allows_a_campaign_at_once(tmp_path: Path) -> None:
    net, found = led(tmp_path)
    of = elections(found)
    net.queues.clear()
    of[found[1].name].heard_leader()
    of[found[1].name].leader_lost(Node(found[0].name))
    assert found[1].kernel.election_deadline() < time.monotonic() + 0.25
    found[2].kernel.campaign_now()
    of[found[2].name].before_tick()
    exchange(net, of)
    term = found[2].kernel.raftCurrentTerm
    of[found[2].name].before_tick()
    found[2].tick()
    assert found[2].kernel.raftCurrentTerm == term + 1


def test_who_lags_behind_is_not_allowed(tmp_path: Path) -> None:
    net, found = members(tmp_path)
    of = elections(found)
    for member in found[1:]:
        member.journal.add(b"\0x", 2, 0)
    found[0].kernel.campaign_now()
    of[found[0].name].before_tick()
    exchange(net, of)
    of[found[0].name].before_tick()
    found[0].tick()
    assert found[0].kernel.raftCurrentTerm == 0


def test_a_refusal_brings_the_term_up_to_date(tmp_path: Path) -> None:
    net, found = members(tmp_path)
    of = elections(found)
    found[1].kernel.adopt_term(6)
    found[0].kernel.campaign_now()
    of[found[0].name].before_tick()
    exchange(net, of)
    assert found[0].kernel.raftCurrentTerm == 6
    assert found[0].journal.getCurrentTerm() == 6


def test_a_leader_steps_down_when_a_follower_is_at_a_higher_term(tmp_path: Path) -> None:
    _, found = led(tmp_path)
    of = elections(found)
    of[found[0].name].incoming(Node(found[1].name), {"type": "term", "term": 40})
    assert not found[0].kernel._isLeader()
    assert found[0].kernel.raftCurrentTerm == 40


def test_a_round_of_permissions_is_worth_one_campaign(tmp_path: Path) -> None:
    """Found by scripts/sim: the second member's leave, a moment after the first's, made for a second term."""
    net, found = members(tmp_path)
    of = elections(found)
    asking = found[0]
    asking.kernel.campaign_now()
    of[asking.name].before_tick()
    for other in found[1:]:
        question = net.queues[asking.name, other.name].popleft()
        of[other.name].incoming(Node(asking.name), question)
        of[asking.name].incoming(Node(other.name), net.queues[other.name, asking.name].popleft())
        of[asking.name].before_tick()
        asking.tick()
    assert asking.kernel.raftCurrentTerm == 1


def test_a_permission_is_worth_nothing_once_a_leader_was_heard(tmp_path: Path) -> None:
    net, found = members(tmp_path)
    of = elections(found)
    asking = found[0]
    asking.kernel.campaign_now()
    of[asking.name].before_tick()
    exchange(net, of)
    of[asking.name].heard_leader()
    asking.kernel.campaign_now()
    of[asking.name].before_tick()
    asking.tick()
    assert asking.kernel.raftCurrentTerm == 0, "it asks again"
