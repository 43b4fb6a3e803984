"""Leadership is handed to who has the whole log, and to nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clusters import led, member
from pysyncobj.node import Node
from raftsman.store.raft import clock
from raftsman.store.raft.guard import Message
from raftsman.store.raft.handover import Handover


class Sent(list[tuple[str, Message]]):
    def __call__(self, node: Node, message: Message) -> bool:
        self.append((node.id, message))
        return True


def begun(kernel: Any, name: str | None) -> tuple[Handover, Sent]:
    sent = Sent()
    made = Handover(kernel, sent)
    made.start(name)
    made.turn()
    return made, sent


def test_who_has_everything_is_asked_at_once(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3))
    made, sent = begun(found[1].kernel, "2")
    assert sent == [("2", {"type": "take over", "term": found[1].kernel.raftCurrentTerm})]
    assert made.active


def test_who_lags_is_asked_when_it_has_caught_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, found = led(tmp_path, member(1), member(2), member(3))
    found[1].commands.append(b"\0\0")
    found[1].tick()
    made, sent = begun(found[1].kernel, "2")
    assert sent == []
    net.deliver()
    later = clock.now() + found[1].kernel.pace.heartbeat_s
    monkeypatch.setattr(clock, "now", lambda: later)
    made.turn()
    assert [name for name, _ in sent] == ["2"]


def test_the_best_voter_that_is_there_takes_over_when_nobody_is_named(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3), member(4, learner=True), down=[3])
    assert [name for name, _ in begun(found[1].kernel, None)[1]] == ["2"]


@pytest.mark.parametrize("name", ["4", "77"])
def test_learners_and_strangers_do_not_take_over(tmp_path: Path, name: str) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3), member(4, learner=True))
    assert not begun(found[1].kernel, name)[0].active


def test_only_a_leader_hands_over(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3))
    assert not begun(found[2].kernel, "3")[0].active


def test_it_is_given_up_after_an_election_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = led(tmp_path, member(1), member(2), member(3))
    made, _ = begun(found[1].kernel, "2")
    later = clock.now() + found[1].kernel.pace.election_s
    monkeypatch.setattr(clock, "now", lambda: later)
    made.turn()
    assert not made.active
