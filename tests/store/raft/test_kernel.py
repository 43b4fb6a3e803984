"""A lone member: elected at once, everything committed in order, entries opaque."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pysyncobj.syncobj
import pytest
from kernels import Member, Net, led, members
from raftsman.store.raft import clock
from raftsman.store.raft.kernel import Pace


def test_a_lone_member_leads_at_its_first_tick(tmp_path: Path) -> None:
    member = Member(Net(), "10.0.0.1:2380", [], tmp_path)
    member.tick()
    assert member.kernel._isLeader()
    member.tick()
    assert member.kernel.serving()


def test_the_no_op_of_a_new_leader_is_on_disk_before_it_counts(tmp_path: Path) -> None:
    member = Member(Net(), "10.0.0.1:2380", [], tmp_path)
    member.kernel.campaign_now()
    member.kernel.doTick(0.0)
    assert not member.journal._wal.dirty


def test_commands_are_bytes_that_nobody_looks_into(tmp_path: Path) -> None:
    member = Member(Net(), "10.0.0.1:2380", [], tmp_path)
    pickled = b"\0cos\nabort\n(tR."
    member.commands.extend([pickled, b"\0\x01second"])
    for _ in range(3):
        member.tick()
    assert member.applied == [pickled, b"\0\x01second"]
    indexes = [index for index, _, _ in member.committed_commands]
    assert indexes == list(range(2, 2 + len(indexes)))


def test_a_restart_applies_from_the_snapshot_on(tmp_path: Path) -> None:
    member = Member(Net(), "10.0.0.1:2380", [], tmp_path)
    member.commands.extend(b"\0%d" % number for number in range(5))
    for _ in range(3):
        member.tick()
    index, term, _ = member.committed_commands[3]
    again = Member(Net(), "10.0.0.1:2380", [], tmp_path)
    again.kernel.start_from(index, term)
    for _ in range(3):
        again.tick()
    assert again.applied == [b"\0%d" % number for number in range(3, 5)]


def test_followers_append_nothing_of_their_own(tmp_path: Path) -> None:
    _, (_, follower, _) = led(tmp_path)
    follower.commands.append(b"\0mine")
    before = follower.journal.last_index
    follower.tick()
    assert follower.journal.last_index == before


def test_the_library_reads_our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock.now is time.monotonic
    monkeypatch.setattr(clock, "now", lambda: 12.5)
    assert pysyncobj.syncobj.monotonicTime() == 12.5


def test_election_time_outs_come_from_the_member_s_own_source(tmp_path: Path) -> None:
    _, (member,) = members(tmp_path, 1)
    drawn = []
    for _ in range(2):
        member.kernel._random = Random(7)
        drawn.append([member.kernel._SyncObj__generateRaftTimeout() for _ in range(3)])
    assert drawn[0] == drawn[1]
    assert all(Pace().election_s <= timeout <= 2 * Pace().election_s for timeout in drawn[0])


def test_a_learner_gets_the_log_and_has_no_vote(tmp_path: Path) -> None:
    net, (one, two, three) = led(tmp_path)
    names = {member.name for member in (one, two)}
    for member in (one, two, three):
        member.kernel.configure(names, {three.name})
    before = one.kernel.raftCommitIndex
    one.commands.append(b"\0x")
    one.tick()
    net.queues.pop((one.name, two.name))
    net.deliver()
    beat_one = one.kernel.raftCommitIndex
    assert three.journal.last_index == one.journal.last_index, "the learner has it"
    assert beat_one == before, "its ack is no vote"
    assert not three.kernel.votes


def test_who_joins_and_who_leaves_changes_the_majority(tmp_path: Path) -> None:
    _, (one, two, three) = led(tmp_path)
    nodes = {member.name: node for member in (two, three) for node in one.kernel.voters if node.id == member.name}
    assert one.kernel.majority({nodes[two.name]})
    one.kernel.configure({one.name, two.name}, {three.name})
    assert not one.kernel.majority({nodes[three.name]}), "a learner is no majority"
    one.kernel.configure({one.name}, set())
    assert one.kernel.alone
    assert one.kernel.majority(set())
