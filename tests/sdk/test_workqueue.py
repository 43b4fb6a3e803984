"""The work queue: nothing lost, nothing twice at once, failures later."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import workqueue
from raftsman.workqueue import WorkQueue


async def test_keys_come_out_in_order_and_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_it_is_worked_on_comes_once_more_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_waiting_worker_wakes_when_a_key_comes() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await waiting == "a"


async def test_a_worker_that_is_cancelled_loses_no_key() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await asyncio.wait_for(second, 1) == "a"


async def test_the_earliest_of_several_times_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.02)
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 1) == "a"


async def test_failures_wait_longer_each_time_until_forgotten() -> None:
    queue: WorkQueue[str] = WorkQueue(backoff_s=0.01, backoff_max_s=0.05)
    clock = asyncio.get_running_loop().time
    waits = []
    for _ in range(5):
        before = clock()
        queue.add_rate_limited("a")
        queue.done(await queue.get())
        waits.append(clock() - before)
    for got, least in zip(waits, (0.01, 0.02, 0.04, 0.05, 0.05), strict=True):
        assert least - 0.002 <= got < least + 0.1
    queue.forget("a")
    assert queue.failures("a") == 0


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_every_added_key_is_handed_out_after_its_last_addition(keys: list[str]) -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in keys:
            queue.add(key)
        out = [await queue.get() for _ in range(len(queue))]
        assert out == list(dict.fromkeys(keys))

    asyncio.run(run())


async def test_a_bucket_spreads_the_failures_of_many_keys() -> None:
    bucket = workqueue.Bucket(rate=10, burst=2)
    waits = [bucket.reserve() for _ in range(4)]
    assert waits[:2] == [0, 0]
    assert 0 < waits[2] <= 0.1
    assert waits[2] < waits[3] <= 0.2
    with pytest.raises(ValueError, match="rate"):
        workqueue.Bucket(rate=0, burst=1)


async def test_a_closed_queue_is_emptied_and_takes_nothing_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add_after("late", 60)
    key = await queue.get()
    closing = asyncio.create_task(queue.close())
    await asyncio.sleep(0)
    queue.add("b")
    assert not closing.done()
    queue.done(key)
    async with asyncio.timeout(30):
        await closing
        with pytest.raises(workqueue.Closed):
            await queue.get()


async def test_closing_wakes_those_who_wait() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    await queue.close()
    with pytest.raises(workqueue.Closed):
        await waiting
