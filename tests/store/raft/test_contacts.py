"""What members tell each other beside the log: addresses, that something is committed, that somebody is out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import CLUSTER, led, member
from raftsman.store import commands
from raftsman.store.commands import Kind, Operation
from raftsman.store.mvcc.members import Action, Change, Dumped, Member, encode
from raftsman.store.raft import contacts, discovery, events
from raftsman.store.raft.contacts import Contacts, Self
from raftsman.store.raft.guard import BadMessage

NAME = f"{CLUSTER:x}"


class Transport:
    """What a Contacts uses of one."""

    def __init__(self) -> None:
        self.urls: dict[str, tuple[str, ...]] = {}
        self.complete, self.unreached = False, [("http://x:1",)]

    def configure(self, urls: dict[str, tuple[str, ...]], *, removed: Callable[[int], bool]) -> None:
        self.urls = urls


class Told(list[str]):
    """Why it was dismissed, and "committed" when more is."""


def of(found: dict[int, Any], number: int) -> tuple[Contacts, Transport, Told]:
    transport, told = Transport(), Told()
    made = Contacts(
        found[number].kernel,
        transport,  # type: ignore[arg-type]
        Self(number, f"disk of {number}", NAME),
        tls=None,
        dismiss=told.append,
        committed=lambda: told.append("committed"),
    )
    return made, transport, told


def answer(changed: int, *members: Member, removed: tuple[int, ...] = (), term: int = -1, met: str = "") -> Any:
    return discovery.Answer(NAME, changed, Dumped(CLUSTER, members, removed), met, term)


def test_a_leader_that_nobody_here_knew_makes_itself_known(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2))
    made, transport, _ = of(found, 2)
    said = made.answer(discovery.question(NAME, "9", changed=50, urls=["http://new:1"]))
    assert transport.urls == {"1": ("http://m1:2380",), "9": ("http://new:1",)}
    assert [each.id for each in said.members.members] == [1, 2]


def test_what_the_log_knows_better_is_not_taken(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2))
    made, transport, _ = of(found, 2)
    for question in (
        discovery.question(NAME, "9", changed=1, urls=["http://old:1"]),
        discovery.question("another", "9", changed=50, urls=["http://new:1"]),
        discovery.question(NAME, "2", changed=50, urls=["http://me:1"]),
        discovery.question(NAME, "../9", changed=50, urls=["http://new:1"]),
    ):
        made.answer(question)
    assert made.reachable() == {"1": ("http://m1:2380",)}
    with pytest.raises(BadMessage):
        made.answer(discovery.question(NAME, "9", changed=50, urls=["nonsense"]))
    assert not transport.urls


def test_an_address_that_was_told_holds_until_the_log_has_it(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2))
    made, transport, _ = of(found, 2)
    made._heed(answer(50, Member(1, "m1", ("http://moved:1",)), member(2)))
    assert transport.urls == {"1": ("http://moved:1",)}
    found[2].journal.replace_members(50, Dumped(CLUSTER, (Member(1, "m1", ("http://there:1",)), member(2))))
    assert made.reachable() == {"1": ("http://there:1",)}


def test_who_is_told_that_it_was_removed_or_lost_its_disk_goes(tmp_path: Path) -> None:
    _, found = led(tmp_path, member(1), member(2))
    made, _, told = of(found, 2)
    made._heed(answer(1, member(1), member(2), met="disk of 2"))
    assert told == []
    made._heed(answer(50, member(1), removed=(2,)))
    made._heed(answer(1, member(1), member(2), met="another disk"))
    assert told == [events.REMOVED, events.LOST]


@pytest.mark.parametrize(("term", "same"), [(1, True), (2, False), (-1, False)])
def test_a_change_is_committed_when_a_member_acted_on_the_same_entry(tmp_path: Path, term: int, same: bool) -> None:
    """Two of two commit the removal of their leader, which goes with the knowledge of it."""
    net, found = led(tmp_path, member(1), member(2))
    removal = Operation(1, Kind.CLUSTER_MEMBER, encode(Change(Action.REMOVE, (Member(1),))))
    found[1].commands.append(commands.encode_change(removal))
    found[1].tick()
    net.members["2"].receive("1", net.queues["1", "2"].popleft())
    index = found[2].journal.last_index
    assert found[2].kernel.raftCommitIndex < index
    made, _, told = of(found, 2)
    made._heed(answer(index, member(2), removed=(1,), term=term))
    assert (found[2].kernel.raftCommitIndex == index) is same
    assert told == (["committed"] if same else [])


async def test_who_hears_no_leader_asks_and_who_hears_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    async def ask(urls: tuple[str, ...], question: Any, *, tls: Any) -> None:
        asked.append(urls)

    monkeypatch.setattr(discovery, "ask", ask)
    monkeypatch.setattr(contacts, "ASK_S", 0.0)
    _, found = led(tmp_path, member(1), member(2))
    follower, transport, _ = of(found, 2)
    leader, reached, _ = of(found, 1)
    reached.complete = True
    transport.urls = {"1": ("http://m1:2380",)}
    follower.turn()
    leader.turn()
    await asyncio.sleep(0.01)
    assert asked == []
    found[2].kernel.forget_leader()
    follower.turn()
    await asyncio.sleep(0.01)
    assert asked == [("http://m1:2380",)]
    reached.complete = False
    leader.turn()
    await asyncio.sleep(0.01)
    assert asked[1:] == [("http://x:1",)]
