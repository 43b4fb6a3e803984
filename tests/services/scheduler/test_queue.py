"""Whose turn it is: priority, order of arrival, pauses, and what wakes a pod that found no node."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.services.scheduler.demand import Demand
from raftsman.services.scheduler.queue import BACKOFF_MAX_S, EAGER_ATTEMPTS, PARKED_MAX_S, PodQueue, Waiting

DEMAND = Demand()


def pod(name: str, priority: int = 0) -> core.Pod:
    found = core.Pod()
    found.metadata.name = found.metadata.uid = name
    found.spec.priority = priority
    return found


def take(queue: PodQueue) -> str | None:
    found = queue.take()
    return found.uid if found else None


def taken(queue: PodQueue) -> Waiting:
    found = queue.take()
    assert found is not None
    return found


def tired(queue: PodQueue, *, now: float = 0) -> Waiting:
    """A pod that was refused often enough to be no longer eager."""
    queue.put(pod("a"), DEMAND, now=now)
    for _ in range(EAGER_ATTEMPTS):
        queue.park(taken(queue), now=now)
        queue.wake(lambda _: True, now=now)
    waiting = taken(queue)
    queue.park(waiting, now=now)
    return waiting


def test_higher_priority_goes_first_then_who_came_first() -> None:
    queue = PodQueue()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.put(pod(name, priority), DEMAND, now=0)
    assert [take(queue) for _ in range(5)] == ["b", "d", "a", "c", None]


def test_a_pod_that_is_added_twice_has_one_turn() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    queue.put(pod("a"), DEMAND, now=0)
    assert [take(queue), take(queue)] == ["a", None]


def test_a_pod_that_is_being_decided_about_is_not_handed_out_again() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    assert take(queue) == "a"
    queue.put(pod("a"), DEMAND, now=0)
    assert take(queue) is None


def test_a_parked_pod_is_woken_only_by_what_helps_it() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    queue.park(taken(queue), now=0)
    assert queue.wake(lambda _: False, now=0) == 0
    assert take(queue) is None
    assert queue.wake(lambda _: True, now=0) == 1
    assert take(queue) == "a"


def test_the_first_attempts_follow_a_change_at_once_the_later_ones_after_a_pause() -> None:
    queue = PodQueue()
    tired(queue)
    queue.wake(lambda _: True, now=1)
    assert take(queue) is None
    assert queue.next_due() == BACKOFF_MAX_S
    queue.tick(now=BACKOFF_MAX_S - 0.1)
    assert take(queue) is None
    queue.tick(now=BACKOFF_MAX_S)
    assert take(queue) == "a"


def test_a_pod_that_has_rested_already_goes_at_once() -> None:
    queue = PodQueue()
    tired(queue)
    queue.wake(lambda _: True, now=BACKOFF_MAX_S + 1)
    assert take(queue) == "a"


def test_a_parked_pod_is_tried_again_even_if_nothing_happens() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    queue.park(taken(queue), now=0)
    queue.tick(now=PARKED_MAX_S - 1)
    assert take(queue) is None
    queue.tick(now=PARKED_MAX_S)
    assert take(queue) == "a"


def test_a_failed_binding_is_tried_again_after_a_pause_that_grows() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    queue.rest(taken(queue), now=0)
    assert queue.next_due() == 1
    queue.tick(now=1)
    queue.rest(taken(queue), now=1)
    assert queue.next_due() == 3
    assert queue.wake(lambda _: True, now=2) == 0


def test_a_pod_that_asks_for_something_else_has_its_turn_again() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    queue.park(taken(queue), now=0)
    queue.put(pod("a"), DEMAND, now=0)
    assert take(queue) is None
    queue.put(pod("a"), Demand((("cpu", 1),)), now=0)
    assert take(queue) == "a"


def test_a_pod_that_is_gone_has_no_turn_and_no_timer() -> None:
    queue = PodQueue()
    queue.put(pod("a"), DEMAND, now=0)
    waiting = taken(queue)
    queue.remove("a")
    queue.park(waiting, now=0)
    queue.rest(waiting, now=0)
    queue.tick(now=1000)
    assert (take(queue), queue.next_due(), len(queue)) == (None, None, 0)


def test_equal_pods_are_asked_about_once() -> None:
    queue, asked = PodQueue(), []
    for name in "abc":
        queue.put(pod(name), DEMAND, now=0)
    for _ in range(3):
        queue.park(taken(queue), now=0)
    assert queue.wake(lambda demand: bool(asked.append(demand)) or True, now=0) == 3
    assert len(asked) == 1
