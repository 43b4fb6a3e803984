"""How many pods each ReplicaSet may have: limits, rounding, proportion, and that every rollout ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.services.controllers.deployment_rollout import Limits, Member, first_size, limits, recreate, roll, scale


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", Limits(3, 1, 0)),
        (10, "25%", "25%", Limits(10, 3, 2)),
        (10, 0, "5%", Limits(10, 0, 1)),
        (0, "25%", "25%", Limits(0, 0, 1)),
        (4, 2, 1, Limits(4, 2, 1)),
        (4, "100%", "100%", Limits(4, 4, 4)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: Limits
) -> None:
    assert limits(replicas, surge, unavailable=unavailable) == expected


def test_more_unavailable_than_replicas_means_that_none_must_be_available() -> None:
    assert Limits(3, 0, 8).least_available == 0


def test_the_worked_example_of_the_module() -> None:
    asked = Limits(4, surge=1, unavailable=1)
    old, new = Member("old", 4, 4, 4), Member("new", 0)
    assert roll(asked, new, olds=[old]) == {"new": 1}
    new = replace(new, size=1, running=1)
    assert roll(asked, new, olds=[old]) == {"old": 3}
    old, new = Member("old", 3, 3, 3), replace(new, ready_for_use=1)
    assert roll(asked, new, olds=[old]) == {"new": 2}


def test_pods_that_are_not_available_go_before_those_that_are() -> None:
    olds = [Member("healthy", 3, 3, 3, age=(1, "a")), Member("broken", 2, 2, 0, age=(2, "b"))]
    assert roll(Limits(3, 2, 0), Member("new", 0), olds=olds) == {"broken": 0}


def test_the_oldest_set_shrinks_first() -> None:
    olds = [Member("younger", 2, 2, 2, age=(2, "b")), Member("older", 2, 2, 2, age=(1, "a"))]
    assert roll(Limits(4, 0, 1), Member("new", 0), olds=olds) == {"older": 1}


def test_a_new_set_that_is_too_large_is_cut_back() -> None:
    assert roll(Limits(2, 1, 0), Member("new", 5, 5, 5), olds=[]) == {"new": 2}


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    asked, new = Limits(3), Member("new", 0)
    assert recreate(asked, new, olds=[Member("old", 3, 3, 3)], old_pods=3) == {"old": 0}
    assert recreate(asked, new, olds=[Member("old", 0)], old_pods=1) == {}
    assert recreate(asked, new, olds=[Member("old", 0)], old_pods=0) == {"new": 3}


def test_scaling_outside_a_rollout_sizes_the_only_set() -> None:
    assert scale(Limits(7, 1), Member("new", 3, 3, 3), olds=[Member("old", 0)], rolling=True) == {"new": 7}


def test_scaling_with_nothing_running_sizes_the_new_set_or_the_latest() -> None:
    olds = [Member("a", 0, age=(1, "a")), Member("b", 0, age=(2, "b"))]
    assert scale(Limits(2), None, olds=olds, rolling=True) == {"b": 2}
    assert scale(Limits(2), Member("new", 0), olds=olds, rolling=True) == {"new": 2}
    assert scale(Limits(2), None, olds=[], rolling=True) == {}


def test_scaling_after_the_new_set_is_complete_ends_the_old_ones() -> None:
    assert scale(Limits(3, 1), Member("new", 3, 3, 3), olds=[Member("old", 1)], rolling=True) == {"old": 0}


def test_scaling_in_the_middle_of_a_rollout_is_shared_out_in_proportion() -> None:
    new, old = Member("new", 3, most_then=12, age=(2, "n")), Member("old", 9, most_then=12, age=(1, "o"))
    assert scale(Limits(20, 4), new, olds=[old], rolling=True) == {"old": 18, "new": 6}
    assert scale(Limits(5, 1), new, olds=[old], rolling=True) == {"old": 4, "new": 2}
    assert scale(Limits(0), new, olds=[old], rolling=True) == {"old": 0, "new": 0}


sizes = st.integers(0, 12)


@st.composite
def members(draw: st.DrawFn, name: str) -> Member:
    """A set in any state, with a status that may be stale."""
    return Member(name, draw(sizes), draw(sizes), draw(sizes), age=(draw(st.integers(0, 3)), name))


@st.composite
def asked(draw: st.DrawFn) -> Limits:
    return limits(draw(sizes), draw(sizes), unavailable=draw(sizes))


@given(asked(), members("new"), st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.data())
def test_surge_never_exceeds_max_surge(asked: Limits, new: Member, names: list[str], data: st.DataObject) -> None:
    olds = [data.draw(members(name)) for name in names]
    before = sum(member.counted for member in [new, *olds])
    changed = roll(asked, new, olds=olds)
    grown = sum(max(0, changed[m.name] - m.size) for m in [new, *olds] if m.name in changed)
    assert not grown or before + grown <= asked.most
    assert first_size(asked, olds) <= max(0, asked.most - sum(old.counted for old in olds))


@given(asked(), members("new"), st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.data())
def test_available_pods_never_fall_below_what_must_be(
    asked: Limits, new: Member, names: list[str], data: st.DataObject
) -> None:
    """Pods that are not available are deleted before those that are, as the ReplicaSet's ranking has it."""
    olds = [data.draw(members(name)) for name in names]
    before = sum(member.available for member in [new, *olds])
    changed = roll(asked, new, olds=olds)
    after = sum(min(m.available, changed.get(m.name, m.size)) for m in olds) + new.available
    assert new.size > asked.replicas or after >= min(before, asked.least_available)
    assert all(size >= 0 for size in changed.values())


@given(asked(), members("new"), st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.data())
def test_a_rollout_ends_from_any_state(asked: Limits, new: Member, names: list[str], data: st.DataObject) -> None:
    state = {m.name: m for m in [new, *(data.draw(members(name)) for name in names)]}
    for _ in range(200):
        olds = [m for m in state.values() if m.name != "new"]
        changed = roll(asked, state["new"], olds=olds)
        settled = {m.name: changed.get(m.name, m.size) for m in state.values()}
        after = {name: replace(state[name], size=n, running=n, ready_for_use=n) for name, n in settled.items()}
        if after == state:
            break
        state = after
    assert {name: m.size for name, m in state.items()} == {name: 0 for name in names} | {"new": asked.replicas}


@given(asked(), members("new"), st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.data())
def test_a_change_of_size_comes_to_exactly_what_may_be(
    asked: Limits, new: Member, names: list[str], data: st.DataObject
) -> None:
    olds = [replace(data.draw(members(name)), most_then=data.draw(st.integers(0, 24))) for name in names]
    changed = scale(asked, new, olds=olds, rolling=True)
    total = sum(changed.get(m.name, m.size) for m in [new, *olds])
    active = [m for m in [new, *olds] if m.size]
    if len(active) <= 1 or new.size == new.available == asked.replicas:
        assert total == asked.replicas
    else:
        assert total == (asked.most if asked.replicas else 0)
    assert all(size >= 0 for size in changed.values())
