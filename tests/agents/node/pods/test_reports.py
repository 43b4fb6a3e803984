"""Pods' statuses on their way to the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from raftsman import Client, errors
from raftsman.agents.node.pods import reports
from raftsman.agents.node.pods.record import Record
from raftsman.agents.node.pods.reports import Reports
from raftsman.core import v1 as core

from .builders import pod


class Desk:
    """Reports, the record of one pod, and what was told."""

    def __init__(self, api: Any, client: Client, stored: core.Pod) -> None:
        self.api = api
        self.told: list[str] = []
        self.reports = Reports(client, on_written=self.told.append)
        self.record = Record("uid-1", stored)

    def put(self, phase: str, *, message: str = "", waiting: str = "") -> None:
        status = core.PodStatus(phase=phase)
        if message:
            status.message = message
        if waiting:
            status.container_statuses.add(name="web").state.waiting.reason = waiting
        self.reports.put(self.record, status)

    @property
    def stored(self) -> Any:
        return self.api.find(core.Pod, "web", "default")

    @property
    def writes(self) -> int:
        return sum(verb == "UpdateStatus" for verb, _ in self.api.calls)

    async def quiet(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            await self.reports.settle("uid-1")
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def desk(api: Any, client: Client) -> AsyncIterator[Desk]:
    made = pod()
    made.metadata.ClearField("uid")
    stored = await api.put(made)
    desk = Desk(api, client, stored)
    desk.record.uid = stored.metadata.uid
    yield desk
    await desk.reports.close()


async def settle(desk: Desk) -> None:
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        await desk.reports.settle(desk.record.uid)
        await asyncio.sleep(0.01)


async def test_what_matters_is_written_at_once_and_only_once(desk: Desk) -> None:
    desk.put("Running")
    await settle(desk)
    assert desk.stored.status.phase == "Running"
    assert desk.record.pod.metadata.resource_version == desk.stored.metadata.resource_version
    desk.put("Running")
    await settle(desk)
    assert desk.writes == 1
    assert desk.told == [desk.record.uid]


async def test_being_prepared_is_not_worth_a_write_unless_it_lasts(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "CALM_S", 0.05)
    desk.put("Pending", waiting="ContainerCreating")
    await settle(desk)
    assert desk.writes == 0
    desk.put("Running")
    await settle(desk)
    assert (desk.writes, desk.stored.status.phase) == (1, "Running")
    desk.put("Pending", waiting="PodInitializing")
    await asyncio.sleep(0.1)
    await settle(desk)
    assert (desk.writes, desk.stored.status.phase) == (2, "Pending")


async def test_a_fault_is_written_at_once(desk: Desk) -> None:
    desk.put("Pending", waiting="ErrImagePull")
    await settle(desk)
    assert desk.writes == 1


async def test_the_newest_wins_while_a_write_is_under_way(desk: Desk) -> None:
    for number in range(20):
        desk.put("Running", message=str(number))
    await settle(desk)
    assert desk.stored.status.message == "19"
    assert desk.writes <= 2


async def test_after_a_conflict_the_pod_is_looked_at_again_with_its_newest_state(desk: Desk) -> None:
    other = core.Pod()
    other.CopyFrom(desk.stored)
    other.metadata.labels["new"] = "label"
    await desk.api.put(other)
    desk.put("Running")
    await settle(desk)
    assert desk.stored.status.phase == ""
    assert desk.record.pod.metadata.labels["new"] == "label"
    assert desk.told
    desk.put("Running")
    await settle(desk)
    assert (desk.stored.status.phase, desk.stored.metadata.labels["new"]) == ("Running", "label")


async def test_an_api_that_does_not_answer_is_asked_again(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "RETRY_FIRST_S", 0.01)
    desk.api.refusals.extend([errors.InternalError("no quorum")] * 3)
    desk.put("Running")
    await settle(desk)
    assert desk.stored.status.phase == "Running"


async def test_a_status_that_is_refused_is_tried_again_but_not_soon(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "RETRY_MAX_S", 0.2)
    desk.api.refusals.append(errors.Forbidden("not yet"))
    desk.put("Running")
    await asyncio.sleep(0.1)
    assert (desk.writes, desk.stored.status.phase) == (1, "")
    await settle(desk)
    assert (desk.writes, desk.stored.status.phase) == (2, "Running")


async def test_a_status_that_is_put_as_a_write_ends_is_not_lost(desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    desk.reports._on_written = lambda uid: loop.call_soon(desk.put, "Failed")  # type: ignore[assignment]
    desk.put("Running")
    async with asyncio.timeout(3):
        while desk.stored.status.phase != "Failed":  # noqa: ASYNC110 - what the fake API holds tells nobody
            await asyncio.sleep(0.05)
