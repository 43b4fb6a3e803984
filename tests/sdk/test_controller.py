"""Controllers: keys reach them, failures come again, and nobody stops anybody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from fake_api import FakeApi
from raftsman import Client, Key, errors, metadata
from raftsman.apps import v1 as apps
from raftsman.controller import Controller, Result, Watch, controller_owner_key, run_controllers
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta


class Recording(Controller):
    """Notes what it is asked to look at; fails as often as it is told to."""

    name = "recording"
    watches = (
        Watch(apps.ReplicaSet),
        Watch(core.Pod, key=controller_owner_key("ReplicaSet"), changed=lambda old, new: old.spec != new.spec),
    )

    def __init__(self) -> None:
        self.seen: list[Key] = []
        self.failures: list[Exception] = []
        self.result: Result | None = None
        self.busy = 0
        self.busiest = 0

    async def reconcile(self, key: Key) -> Result | None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await asyncio.sleep(0.01)
            self.seen.append(key)
            if self.failures:
                raise self.failures.pop(0)
            return self.result
        finally:
            self.busy -= 1


@contextlib.asynccontextmanager
async def running(client: Client, *controllers: Controller) -> AsyncIterator[None]:
    task = asyncio.create_task(run_controllers(client, controllers))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def replica_set(name: str = "web") -> apps.ReplicaSet:
    return apps.ReplicaSet(metadata=meta.ObjectMeta(name=name, namespace="default"))


KEY = Key("default", "web")


async def test_an_object_and_what_it_owns_lead_to_its_key(api: FakeApi, client: Client) -> None:
    stored = await api.put(replica_set())
    controller = Recording()
    async with running(client, controller):
        await eventually(lambda: controller.seen == [KEY])
        pod = core.Pod(metadata=meta.ObjectMeta(name="p", namespace="default"))
        await api.put(pod)
        pod.metadata.owner_references.append(metadata.owner_reference(stored))
        pod.spec.node_name = "n1"
        await api.put(pod)
        await eventually(lambda: controller.seen == [KEY, KEY])
        assert len(list(controller.cache(core.Pod))) == 1


async def test_an_update_that_does_not_matter_wakes_nobody(api: FakeApi, client: Client) -> None:
    stored = await api.put(replica_set())
    pod = core.Pod(metadata=meta.ObjectMeta(name="p", namespace="default"))
    pod.metadata.owner_references.append(metadata.owner_reference(stored))
    await api.put(pod)
    controller = Recording()
    async with running(client, controller):
        await eventually(lambda: bool(controller.seen))
        before = len(controller.seen)
        pod.status.phase = "Running"
        await api.put(pod)
        await asyncio.sleep(0.1)
        assert len(controller.seen) == before


@pytest.mark.parametrize("failure", [ValueError("a bug"), errors.Conflict("changed"), errors.Unavailable("later")])
async def test_a_failure_is_tried_again(api: FakeApi, client: Client, failure: Exception) -> None:
    controller = Recording()
    controller.failures += [failure, failure]
    async with running(client, controller):
        await api.put(replica_set())
        await eventually(lambda: len(controller.seen) == 3)
        await asyncio.sleep(0.1)
        assert len(controller.seen) == 3
        assert controller.queue.failures(KEY) == 0


async def test_a_namespace_on_its_way_out_is_not_argued_with(api: FakeApi, client: Client) -> None:
    controller = Recording()
    cause = errors.Cause("", "NamespaceTerminating", "namespace default is being terminated")
    controller.failures.append(errors.Forbidden("no", causes=(cause,)))
    async with running(client, controller):
        await api.put(replica_set())
        await eventually(lambda: bool(controller.seen))
        await asyncio.sleep(0.1)
        assert len(controller.seen) == 1


async def test_a_reconcile_that_hangs_is_ended(api: FakeApi, client: Client) -> None:
    class Hanging(Recording):
        timeout_s = 0.05

        async def reconcile(self, key: Key) -> None:
            self.seen.append(key)
            await asyncio.Event().wait()

    controller = Hanging()
    async with running(client, controller):
        await api.put(replica_set())
        await eventually(lambda: len(controller.seen) >= 2)


async def test_a_key_is_looked_at_again_when_it_asks(api: FakeApi, client: Client) -> None:
    controller = Recording()
    controller.result = Result(0.05)
    async with running(client, controller):
        await api.put(replica_set())
        await eventually(lambda: len(controller.seen) >= 3)


async def test_one_key_is_never_looked_at_twice_at_once(api: FakeApi, client: Client) -> None:
    controller = Recording()
    controller.workers = 4
    async with running(client, controller):
        await api.put(replica_set())
        await eventually(lambda: bool(controller.seen))
        for _ in range(20):
            await api.put(replica_set())
        await eventually(lambda: len(controller.seen) >= 2 and not controller.busy)
        assert controller.busiest == 1


async def test_a_key_that_fails_stops_no_other(api: FakeApi, client: Client) -> None:
    class Choosy(Recording):
        async def reconcile(self, key: Key) -> None:
            self.seen.append(key)
            if key.name == "bad":
                raise ValueError("always")

    controller = Choosy()
    async with running(client, controller):
        await api.put(replica_set("bad"))
        await api.put(replica_set("good"))
        await eventually(lambda: Key("default", "good") in controller.seen)


async def test_controllers_share_one_watch_of_a_kind(api: FakeApi, client: Client) -> None:
    async with running(client, Recording(), Recording()):
        await eventually(lambda: api.streams == 2)
        assert sorted(api.calls).count(("Watch", "pods")) == 1
