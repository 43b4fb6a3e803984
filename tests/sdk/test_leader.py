"""Leader election: one works at a time, hands over when it leaves, and stops in time when it cannot renew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fake_api import FakeApi
from raftsman import Client, errors
from raftsman.coordination import v1 as coordination
from raftsman.leader import LeaderElection, LeadershipLost, Terms

QUICK = Terms(lease_s=2, renew_deadline_s=1, retry_s=0.05)


def election(client: Client, identity: str, terms: Terms = QUICK) -> LeaderElection:
    return LeaderElection(client, "lock", namespace="default", identity=identity, terms=terms)


async def forever() -> None:
    await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def lease(client: Client) -> coordination.Lease:
    return await client.get(coordination.Lease, "lock")


async def test_of_many_candidates_one_works_at_a_time_and_each_has_its_turn(client: Client) -> None:
    working: list[str] = []
    turns: list[str] = []

    async def work(name: str) -> None:
        working.append(name)
        assert working == [name]
        turns.append(name)
        await asyncio.sleep(0.02)
        working.remove(name)

    names = [f"c{index}" for index in range(5)]
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(election(client, name).run(lambda name=name: work(name)))  # type: ignore[misc]
    assert sorted(turns) == names
    found = await lease(client)
    assert (found.spec.holder_identity, found.spec.lease_transitions) == ("", 4)


async def test_what_the_work_returns_or_raises_comes_out(client: Client) -> None:
    async def works() -> int:
        return 7

    async def fails() -> int:
        raise KeyError("k")

    assert await election(client, "a").run(works) == 7
    with pytest.raises(KeyError):
        await election(client, "b").run(fails)


async def test_a_leader_that_is_cancelled_ends_its_work_and_gives_the_lease_back(client: Client) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    candidate = election(client, "a")
    task = asyncio.create_task(candidate.run(work))
    await until(lambda: candidate.is_leader)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended.is_set()
    assert (await lease(client)).spec.holder_identity == ""


async def test_a_leader_that_cannot_renew_stops_its_work(api: FakeApi, client: Client) -> None:
    candidate = election(client, "a", Terms(lease_s=2, renew_deadline_s=0.5, retry_s=0.05))
    task = asyncio.create_task(candidate.run(forever))
    await until(lambda: candidate.is_leader)
    api.refusals += [errors.InternalError("no")] * 10_000
    with pytest.raises(LeadershipLost):
        await task
    assert not candidate.is_leader


async def test_a_leader_whose_lease_was_taken_stops_its_work(client: Client) -> None:
    candidate = election(client, "a")
    task = asyncio.create_task(candidate.run(forever))
    await until(lambda: candidate.is_leader)
    taken = coordination.Lease()
    taken.CopyFrom(await lease(client))
    taken.metadata.resource_version = ""
    taken.spec.holder_identity = "thief"
    await client.update(taken)
    with pytest.raises(LeadershipLost):
        await task
    assert candidate.leader == "thief"


async def test_a_lease_that_nobody_renews_is_taken_over_after_its_end(client: Client) -> None:
    dead = coordination.Lease()
    dead.metadata.name, dead.metadata.namespace = "lock", "default"
    dead.spec.holder_identity, dead.spec.lease_duration_seconds, dead.spec.lease_transitions = "dead", 1, 3
    await client.create(dead)
    heard: list[str] = []
    candidate = LeaderElection(
        client, "lock", namespace="default", identity="next", terms=QUICK, on_new_leader=heard.append
    )
    task = asyncio.create_task(candidate.run(forever))
    await until(lambda: candidate.is_leader)
    assert heard == ["dead", "next"]
    assert (await lease(client)).spec.lease_transitions == 4
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "terms", [{"lease_s": 1, "renew_deadline_s": 1}, {"renew_deadline_s": 2, "retry_s": 2}, {"retry_s": 0}]
)
def test_terms_that_could_leave_two_leaders_are_refused(terms: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Terms(**terms)
