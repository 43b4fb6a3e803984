"""Who gets seats, and when: the queues of a level, without a clock."""

from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.services.apiserver.flowcontrol.level import Full, Level, Seats


def a_level(seats: Seats | None = None, **facts: int | None) -> Level:
    given_facts = {"nominal": 2, "queues": 8, "hand": 2, "length": 5, **facts}
    return Level("l", "", seats or Seats(), **given_facts)  # type: ignore[arg-type]


def test_a_free_seat_is_taken_at_once_and_the_next_waits_for_it() -> None:
    level = a_level(nominal=1)
    hand = level.deal(7)
    first = level.enter(hand, 1)
    assert first is not None
    assert level.enter(hand, 1) is None
    started: list[int] = []
    level.wait(hand, 1, lambda: started.append(1))
    level.leave(first, 1)
    assert started == [1]
    assert (level.taken, level.waiting) == (1, 0)


def test_a_full_hand_is_refused_and_a_level_without_queues_at_once() -> None:
    level = a_level(nominal=1, queues=1, hand=1, length=1)
    assert level.enter((0,), 1) == 0
    level.wait((0,), 1, lambda: None)
    with pytest.raises(Full):
        level.wait((0,), 1, lambda: None)
    rejecting = a_level(nominal=1, queues=0)
    assert rejecting.enter((), 1) == -1
    with pytest.raises(Full):
        rejecting.enter((), 1)


def test_who_gives_up_leaves_no_trace() -> None:
    level = a_level(nominal=1)
    hand = level.deal(1)
    running = level.enter(hand, 1)
    assert running is not None
    order: list[str] = []
    gone = level.wait(hand, 1, lambda: order.append("gone"))
    level.wait(hand, 1, lambda: order.append("stays"))
    level.give_up(gone)
    level.leave(running, 1)
    assert (order, level.waiting) == (["stays"], 0)


def test_a_flow_with_much_to_do_does_not_keep_another_waiting() -> None:
    level = a_level(nominal=1, queues=64, hand=1, length=500)
    running = level.enter((0,), 1)
    assert running is not None
    order: list[str] = []
    for _ in range(100):
        level.wait((0,), 1, lambda: order.append("busy"))
    level.wait((1,), 1, lambda: order.append("quiet"))
    for _ in range(3):
        level.leave(0, 1)
    assert "quiet" in order[:2]


def test_idle_seats_are_lent_and_what_is_nominal_is_always_there() -> None:
    seats = Seats()
    lender = a_level(seats, nominal=4, lendable=2)
    borrower = a_level(seats, nominal=1)
    hand = borrower.deal(3)
    assert [borrower.enter(hand, 1) is not None for _ in range(4)] == [True, True, True, False]
    own = lender.deal(3)
    assert all(lender.enter(own, 1) is not None for _ in range(4))
    frugal = a_level(seats, nominal=1, borrowing=0)
    assert frugal.enter(hand, 1) is not None
    assert frugal.enter(hand, 1) is None


def test_who_waits_for_a_lent_seat_gets_it_when_its_lender_leaves() -> None:
    seats = Seats()
    lender, borrower = a_level(seats, nominal=1, lendable=1), a_level(seats, nominal=1)
    hand = borrower.deal(0)
    busy = lender.enter(hand, 1)
    assert busy is not None
    assert borrower.enter(hand, 1) is not None
    started: list[int] = []
    borrower.wait(hand, 1, lambda: started.append(1))
    assert not started
    lender.leave(busy, 1)
    assert started


def test_a_request_for_more_seats_than_there_are_runs_alone() -> None:
    level = a_level(nominal=2)
    hand = level.deal(1)
    large = level.enter(hand, 10)
    assert large is not None
    assert level.enter(hand, 1) is None


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_a_hand_has_different_queues(flow: int) -> None:
    hand = a_level(queues=64, hand=6).deal(flow)
    assert len(set(hand)) == 6
    assert all(0 <= queue < 64 for queue in hand)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=60), st.randoms(use_true_random=False))
def test_seats_are_never_lost(arrivals: list[tuple[int, int]], random: object) -> None:
    level = a_level(nominal=3, queues=4, hand=1, length=60)
    running: collections.deque[tuple[int, int]] = collections.deque()
    for flow, seats in arrivals:
        queue = level.enter((flow,), seats)
        if queue is not None:
            running.append((queue, seats))
        else:
            level.wait((flow,), seats, lambda flow=flow, seats=seats: running.append((flow, seats)))
        assert level.taken == sum(seats for _, seats in running)
        if len(running) > 2:
            level.leave(*running.popleft())
    while running:
        level.leave(*running.popleft())
    assert (level.taken, level.waiting) == (0, 0)
