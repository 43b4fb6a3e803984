"""Which changes of the members a leader lets into its log, and which as their refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clusters import led, member
from kernels import Unsynced, beat
from raftsman.store import commands, wal
from raftsman.store.commands import Kind, Operation
from raftsman.store.mvcc.members import Action, Change, Dumped, Member, decode, encode
from raftsman.store.raft import changes, clock
from raftsman.store.raft.changes import READY_ENTRIES, Changes
from raftsman.store.raft.journal import WalJournal

NEW = member(9, started=False)


def operation(action: Action, about: Member) -> Operation:
    return Operation(1, Kind.CLUSTER_MEMBER, encode(Change(action, (about,))))


def asked(leader: Any, action: Action, about: Member) -> str:
    """How a change gets into the log: "" as it was asked for, else why it is refused."""
    waiting = Changes(leader.kernel)
    waiting.add(operation(action, about))
    entry = waiting.next_entry()
    assert entry is not None
    (found,) = commands.decode(entry)
    change = decode(found.payload)
    assert change.members == (about,)
    assert change.action is (Action.REFUSE if change.refusal else action)
    return change.refusal


def test_a_member_is_added_while_everybody_is_there(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3))
    assert asked(found[1], Action.ADD, NEW) == ""


def test_nobody_is_added_while_a_voter_is_down(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3), down=[3])
    assert asked(found[1], Action.ADD, NEW) == "unhealthy"
    assert asked(found[1], Action.ADD, member(9, learner=True, started=False)) == "unhealthy"


def test_a_voter_is_not_added_while_too_few_have_started(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2, started=False), member(3, started=False))
    assert asked(found[1], Action.ADD, NEW) == "not enough started"
    assert asked(found[1], Action.ADD, member(9, learner=True, started=False)) == ""


def test_one_alone_may_get_a_second(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1))
    assert asked(found[1], Action.ADD, NEW) == ""


def test_a_learner_is_promoted_when_it_has_the_log_and_is_there(tmp_path: Path) -> None:
    net, found = led(tmp_path, member(1), member(2), member(3, learner=True))
    assert asked(found[1], Action.PROMOTE, member(3, learner=True)) == ""
    held = net.queues["1", "3"]
    net.members["3"].receive = lambda sender, message: None
    found[1].commands.extend([b"\0\0"] * (READY_ENTRIES + 1))
    found[1].tick()
    net.deliver()
    assert not held
    assert asked(found[1], Action.PROMOTE, member(3, learner=True)) == "learner not ready"


def test_a_learner_that_is_down_is_not_promoted(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3, learner=True), down=[3])
    assert asked(found[1], Action.PROMOTE, member(3, learner=True)) == "learner not ready"


def test_who_is_down_may_go_and_who_is_needed_may_not(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3), down=[3])
    assert asked(found[1], Action.REMOVE, member(2)) == "unhealthy"
    assert asked(found[1], Action.REMOVE, member(1)) == "unhealthy"
    assert asked(found[1], Action.REMOVE, member(3)) == ""


def test_the_last_one_and_the_last_that_started_stay(tmp_path: Path) -> None:
    _, found = led(tmp_path / "one", member(1))
    assert asked(found[1], Action.REMOVE, member(1)) == "not enough started"
    _, found = led(tmp_path / "two", member(1), member(2, started=False))
    assert asked(found[1], Action.REMOVE, member(1)) == "not enough started"
    assert asked(found[1], Action.REMOVE, member(2)) == ""


def test_a_learner_may_always_go_and_what_the_state_refuses_is_left_to_it(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3), member(4, learner=True), down=[2, 4])
    for action, number in ((Action.REMOVE, 4), (Action.REMOVE, 77), (Action.PROMOTE, 77), (Action.PROMOTE, 1)):
        assert asked(found[1], action, Member(number)) == ""


def test_the_next_change_waits_until_the_one_before_is_acted_on(tmp_path: Path) -> None:
    net, found = led(tmp_path, member(1), member(2), member(3))
    leader, waiting = found[1], Changes(found[1].kernel)
    leader.commands.append(commands.encode_change(operation(Action.ADD, NEW)))
    leader.tick()
    waiting.add(operation(Action.REMOVE, member(2)))
    assert leader.journal.change_pending
    assert waiting.next_entry() is None
    net.deliver()
    leader.tick()
    assert leader.kernel.raftCommitIndex == leader.journal.last_index
    assert waiting.next_entry() is None, "committed, and not acted on"
    leader.journal.replace_members(leader.journal.last_index, Dumped(1, (member(1), member(2), member(3), NEW)))
    assert waiting.next_entry() is not None


def test_a_change_of_a_leader_before_holds_the_next_one_up(tmp_path: Path) -> None:
    net, found = led(tmp_path, member(1), member(2), member(3))
    found[1].commands.append(commands.encode_change(operation(Action.ADD, NEW)))
    found[1].tick()
    for each in found.values():
        each.settle()
    net.members["2"].receive("1", net.queues["1", "2"].popleft())
    found[2].settle()
    assert found[2].journal.change_pending, "it has the change, and does not know whether it is committed"
    waiting = Changes(found[2].kernel)
    waiting.add(operation(Action.REMOVE, member(3)))
    assert waiting.next_entry() is None


def test_a_new_leader_changes_nothing_before_it_committed_an_entry_of_its_term(tmp_path: Path) -> None:
    net, found = led(tmp_path, member(1), member(2), member(3))
    found[2].campaign()
    while not found[2].kernel._isLeader():
        for (sender, receiver), queue in list(net.queues.items()):
            while queue:
                found[int(receiver, 16)].receive(sender, queue.popleft())
    waiting = Changes(found[2].kernel)
    waiting.add(operation(Action.ADD, NEW))
    assert waiting.next_entry() is None
    beat(net, found[2])
    assert waiting.next_entry() is not None


def test_what_nobody_waits_for_any_more_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = led(tmp_path, member(1))
    waiting = Changes(found[1].kernel)
    waiting.add(operation(Action.ADD, NEW))
    later = clock.now() + changes.WAITING_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    assert waiting.next_entry() is None
    assert not waiting


def test_a_power_loss_forgets_no_members_that_were_acted_on(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1))
    leader = found[1]
    leader.journal.add(commands.encode_change(operation(Action.ADD, NEW)), leader.journal.last_index + 1, 1)
    index = leader.journal.last_index
    leader.journal.setRaftCommitIndex(index)
    leader.journal.change(index, leader.journal._entries[-1][0])
    leader.journal.sync()
    leader.journal._wal.close()
    read = WalJournal(wal.Wal(tmp_path / "1", segment_bytes=1 << 16, disk=Unsynced()))
    assert [each.id for each in read.members.all()] == [1, 9]
    assert read.changed == read.getRaftCommitIndex() == index
    assert not read.change_pending
