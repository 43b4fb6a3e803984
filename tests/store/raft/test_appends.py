"""How a leader sends its log to one that lags: a window at a time, all of it in the end, and nobody else waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kernels import Member, Net, beat, led
from pysyncobj.node import Node
from raftsman.store.raft import appends
from raftsman.store.raft.guard import Message

ENTRY = b"\0" + bytes(99)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appends, "MESSAGE_BYTES", 10 * len(ENTRY))
    monkeypatch.setattr(appends, "WINDOW_BYTES", 30 * len(ENTRY))


def cut_off(net: Net, leader: Member, lost: Member) -> None:
    leader.transport._onNodeDisconnected(Node(lost.name))
    leader.kernel.appends.forget(Node(lost.name))
    net.queues.pop((leader.name, lost.name), None)


def back(leader: Member, lost: Member) -> None:
    leader.transport._onNodeConnected(Node(lost.name))
    leader.kernel.set_next_index(Node(lost.name), leader.kernel.match_index(Node(lost.name)) + 1)
    leader.kernel.heartbeat_now()


def filled(folder: Path, count: int) -> tuple[Net, Member, Member, Member]:
    """The leader, a follower, and one that lacks `count` entries and is connected again."""
    net, (leader, follower, lost) = led(folder)
    cut_off(net, leader, lost)
    leader.commands.extend([ENTRY] * count)
    leader.tick()
    for _ in range(count):
        net.deliver()
        leader.kernel.send_owed()
    back(leader, lost)
    return net, leader, follower, lost


def under_way(net: Net, leader: Member, to: Member) -> list[Message]:
    return [message for message in net.queues[leader.name, to.name] if message.get("entries")]


def entries_in(messages: list[Message]) -> list[Any]:
    return [entry for message in messages for entry in message["entries"]]


def test_what_is_lacking_is_sent_a_window_at_a_time(tmp_path: Path) -> None:
    net, leader, _, lost = filled(tmp_path, 100)
    leader.tick()
    sent = under_way(net, leader, lost)
    assert [len(message["entries"]) for message in sent] == [10, 10, 10]
    for _ in range(5):
        leader.kernel.send_owed()
        leader.kernel.heartbeat_now()
        leader.tick()
    assert len(entries_in(under_way(net, leader, lost))) == 30, "more is sent when some of it was acknowledged"


def test_an_acknowledgement_lets_the_next_go_and_all_arrives(tmp_path: Path) -> None:
    net, leader, _, lost = filled(tmp_path, 100)
    leader.tick()
    queue = net.queues[leader.name, lost.name]
    while queue[0]["prevLogIdx"] < lost.journal.last_index or not queue[0]["entries"]:
        queue.popleft()
    lost.receive(leader.name, queue.popleft())
    lost.settle()
    while net.queues[lost.name, leader.name]:
        leader.receive(lost.name, net.queues[lost.name, leader.name].popleft())
    leader.kernel.send_owed()
    assert len(entries_in(under_way(net, leader, lost))) == 30
    for _ in range(20):
        net.deliver()
        leader.kernel.send_owed()
    beat(net, leader)
    assert lost.journal.last_index == leader.journal.last_index
    assert lost.applied == leader.applied == [ENTRY] * 100


def test_what_was_on_its_way_when_a_connection_broke_is_sent_again(tmp_path: Path) -> None:
    net, leader, _, lost = filled(tmp_path, 50)
    leader.tick()
    cut_off(net, leader, lost)
    back(leader, lost)
    leader.tick()
    assert len(entries_in(under_way(net, leader, lost))) == 30
    for _ in range(20):
        net.deliver()
        leader.kernel.send_owed()
    assert lost.journal.last_index == leader.journal.last_index


def test_an_entry_larger_than_a_window_is_sent_alone(tmp_path: Path) -> None:
    net, leader, _, lost = filled(tmp_path, 0)
    large = b"\0" + bytes(40 * len(ENTRY))
    leader.commands.extend([ENTRY, large, ENTRY])
    leader.tick()
    assert [len(message["entries"]) for message in under_way(net, leader, lost)] == [1, 1]
    for _ in range(5):
        net.deliver()
        leader.kernel.send_owed()
    beat(net, leader)
    assert lost.applied == [ENTRY, large, ENTRY]


def test_one_that_lacks_more_than_the_log_holds_is_said_to_need_a_snapshot_at_every_heartbeat(tmp_path: Path) -> None:
    net, leader, _, lost = filled(tmp_path, 30)
    beat(net, leader)
    cut_off(net, leader, lost)
    leader.journal.deleteEntriesTo(20)
    back(leader, lost)
    leader.kernel.set_next_index(Node(lost.name), 3)
    leader.tick()
    leader.kernel.send_owed()
    assert leader.snapshots_wanted == [Node(lost.name)]
    (told,) = net.queues[leader.name, lost.name]
    assert "prevLogIdx" not in told


def test_who_was_told_of_a_commit_is_known(tmp_path: Path) -> None:
    net, (leader, *_) = led(tmp_path)
    leader.commands.append(ENTRY)
    leader.tick()
    net.deliver()
    leader.tick()
    commit = leader.journal.last_index
    assert leader.kernel.raftCommitIndex == commit
    assert not leader.kernel.appends.all_know(commit)
    leader.kernel.heartbeat_now()
    leader.tick()
    assert leader.kernel.appends.all_know(commit)
