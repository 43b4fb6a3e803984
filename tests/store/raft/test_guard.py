"""What the library gets wrong between members, each shown on two or three of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kernels import Member, Net, beat, led, members
from pysyncobj.node import Node
from raftsman.store.raft.guard import BadMessage


def put(leader: Member, net: Net, count: int) -> None:
    leader.commands.extend(b"\0%d" % number for number in range(count))
    leader.tick()
    net.deliver()
    beat(net, leader)


def append(leader: Member, previous: int, entries: list[Any], term: int | None = None) -> dict[str, Any]:
    journal = leader.journal
    return {
        "type": "append_entries",
        "term": leader.kernel.raftCurrentTerm if term is None else term,
        "commit_index": leader.kernel.raftCommitIndex,
        "prevLogIdx": previous,
        "prevLogTerm": journal.term_at(previous),
        "entries": entries,
    }


def test_what_is_committed_reaches_everybody(tmp_path: Path) -> None:
    net, (leader, *followers) = led(tmp_path)
    put(leader, net, 5)
    assert leader.applied == [b"\0%d" % number for number in range(5)]
    assert all(follower.applied == leader.applied for follower in followers)


def test_an_old_append_does_not_truncate_what_is_the_same(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    put(leader, net, 10)
    last = follower.journal.last_index
    old = append(leader, 3, leader.journal[3:5])
    follower.receive(leader.name, old)
    follower.settle()
    assert follower.journal.last_index == last
    ack = net.queues[follower.name, leader.name][-1]
    assert ack["next_node_idx"] == 6, "only what the append verified is acked"


def test_a_conflict_truncates_from_where_it_begins(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    put(leader, net, 2)
    base = follower.journal.last_index
    for index in range(base + 1, base + 4):
        follower.journal.add(b"\0stale", index, 1)
    leader.kernel._SyncObj__setCurrentTerm(5, None)
    leader.journal.add(b"\0new", base + 1, 5)
    follower.receive(leader.name, append(leader, base - 1, leader.journal[base - 1 : base + 1]))
    assert follower.journal[-1] == (b"\0new", base + 1, 5)
    assert follower.journal.last_index == base + 1


def test_an_ack_never_moves_next_index_back(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    put(leader, net, 10)
    node = Node(follower.name)
    before = leader.kernel.next_index(node)
    term = leader.kernel.raftCurrentTerm
    ack = {"type": "next_node_idx", "next_node_idx": 4, "reset": False, "success": True, "term": term}
    leader.receive(follower.name, ack)
    assert leader.kernel.next_index(node) == before
    stale = {"type": "next_node_idx", "next_node_idx": 2, "reset": True, "success": False, "term": term}
    leader.receive(follower.name, stale)
    assert leader.kernel.next_index(node) == leader.kernel.match_index(node) + 1


def test_an_ack_of_another_term_is_ignored(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    leader.commands.append(b"\0x")
    leader.tick()
    net.queues.clear()
    last = leader.journal.last_index
    ack = {"type": "next_node_idx", "next_node_idx": last + 1, "reset": False, "success": True, "term": 0}
    leader.receive(follower.name, ack)
    leader.tick()
    assert leader.kernel.raftCommitIndex < last


def test_acks_wait_until_the_log_is_synced(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    leader.commands.append(b"\0x")
    leader.tick()
    sent = net.queues[leader.name, follower.name].popleft()
    net.queues[follower.name, leader.name].clear()
    follower.receive(leader.name, sent)
    assert not net.queues[follower.name, leader.name]
    follower.settle()
    assert net.queues[follower.name, leader.name][0]["success"]


def test_an_append_of_an_old_term_is_answered_with_the_new_one(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    follower.kernel.adopt_term(9)
    follower.receive(leader.name, append(leader, 1, []))
    assert net.queues[follower.name, leader.name].pop() == {"type": "term", "term": 9}


def test_lost_messages_lose_no_committed_entry(tmp_path: Path) -> None:
    net, (leader, follower, other) = led(tmp_path)
    put(leader, net, 5)
    leader.commands.extend(b"\0late%d" % number for number in range(20))
    leader.tick()
    for queue in net.queues.values():
        queue.clear()
    for node in (Node(follower.name), Node(other.name)):
        leader.kernel.set_next_index(node, leader.kernel.match_index(node) + 1)
    beat(net, leader, rounds=6)
    assert len(leader.applied) == len(follower.applied) == len(other.applied) == 25


def test_a_laggard_behind_the_log_gets_a_snapshot_instead(tmp_path: Path) -> None:
    net, (leader, follower, _) = led(tmp_path)
    put(leader, net, 30)
    leader.journal.compact(25, entries_max=2, bytes_max=1 << 20)
    leader.kernel.set_next_index(Node(follower.name), 5)
    leader.kernel.heartbeat_now()
    leader.tick()
    assert leader.snapshots_wanted == [Node(follower.name)]


def test_a_leader_that_sends_a_snapshot_commits_nothing_here(tmp_path: Path) -> None:
    _, (leader, follower, _) = led(tmp_path)
    last = follower.journal.last_index
    follower.journal.add(b"\0stale", last + 1, 1)
    message = {"type": "append_entries", "term": leader.kernel.raftCurrentTerm, "commit_index": last + 9}
    follower.receive(leader.name, message)
    follower.tick()
    assert follower.kernel.raftCommitIndex == last
    assert follower.applied == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "apply_command", "command": b"cos\nsystem\n(S'true'\ntR."},
        {"type": "append_entries", "term": 1, "commit_index": 1, "prevLogIdx": 1, "prevLogTerm": 0, "entries": [7]},
        {"type": "append_entries", "term": "1", "commit_index": 1},
        {"type": "append_entries", "term": 9, "commit_index": 1, "prevLogIdx": None, "prevLogTerm": 0},
        {"type": "next_node_idx", "term": 1, "next_node_idx": 1 << 40, "reset": False, "success": True},
        {"type": "timeout_now", "term": 1},
        {"type": ["x"]},
        {},
    ],
)
def test_what_no_member_sends_is_refused(tmp_path: Path, message: dict[str, Any]) -> None:
    _, (leader, follower, _) = led(tmp_path)
    with pytest.raises(BadMessage):
        leader.receive(follower.name, {"type": None, **message})


def test_pickled_chunks_are_never_read(tmp_path: Path) -> None:
    """The library would unpickle `transmission` messages and `serialized` snapshots."""
    _, (leader, follower, _) = led(tmp_path)
    message = append(leader, follower.journal.last_index, [])
    message.update(transmission="finish", data=b"cos\nabort\n(tR.")
    follower.receive(leader.name, message)
    follower.receive(
        leader.name, {"type": "append_entries", "term": 1, "commit_index": 1, "serialized": (b"cos\nabort\n(tR.", 1, 1)}
    )
    assert follower.journal.last_index == leader.journal.last_index


def test_two_members_cannot_both_win_a_term(tmp_path: Path) -> None:
    net, (first, second, third) = members(tmp_path)
    first.campaign()
    second.kernel.campaign_now()
    second.tick()
    net.deliver()
    assert [member.kernel._isLeader() for member in (first, second, third)].count(True) <= 1


def test_a_vote_counts_once_and_only_a_voters(tmp_path: Path) -> None:
    net, (one, two, three, *_) = members(tmp_path, 5)
    one.campaign()
    net.queues.clear()
    vote = {"type": "response_vote", "term": one.kernel.raftCurrentTerm}
    for _ in range(3):
        one.receive(two.name, dict(vote))
    one.receive("a stranger", dict(vote))
    assert not one.kernel._isLeader()
    one.receive(three.name, dict(vote))
    assert one.kernel._isLeader()
