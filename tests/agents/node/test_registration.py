"""The Node and its lease, kept in the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from raftsman import Client, errors
from raftsman.agents.node import node_status, registration
from raftsman.agents.node.machine import Machine, Pressure
from raftsman.agents.node.registration import Registration
from raftsman.agents.node.settings import Settings
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core

MACHINE = Machine(2, 4 << 30, 100 << 30, "m", "s", "b", "6.1", "Debian", "amd64")
SETTINGS = Settings(node_name="n1", node_ip="192.0.2.1", data_dir=Path("/data"))


class Machinery:
    """A registration with a switch for readiness."""

    def __init__(self, client: Client) -> None:
        self.not_ready: str | None = "the container runtime is starting"
        self.registration = Registration(SETTINGS, client, facts=self.facts)

    def facts(self) -> node_status.Facts:
        return node_status.Facts(MACHINE, Pressure(), self.not_ready, "podman://4", "v1")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.registration.run())
        try:
            async with asyncio.timeout(5):
                yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def ready_of(node: Any) -> str:
    return str(next(c.status for c in node.status.conditions if c.type == "Ready"))


async def until(condition: Any) -> Any:
    while not (found := condition()):  # noqa: ASYNC110 - what the fake API holds tells nobody
        await asyncio.sleep(0.01)
    return found


async def test_a_node_registers_itself_and_tells_when_it_is_ready(api: Any, client: Client) -> None:
    machinery = Machinery(client)
    async with machinery.running():
        await machinery.registration.registered()
        node = api.find(core.Node, "n1")
        assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
        assert ready_of(node) == "False"
        lease = await until(lambda: api.find(coordination.Lease, "n1", "kube-node-lease"))
        assert (lease.spec.holder_identity, lease.spec.lease_duration_seconds) == ("n1", 40)
        machinery.not_ready = None
        machinery.registration.changed()
        await machinery.registration.ready()
        assert ready_of(api.find(core.Node, "n1")) == "True"


async def test_nothing_is_written_while_nothing_changes(api: Any, client: Client) -> None:
    machinery = Machinery(client)
    machinery.not_ready = None
    async with machinery.running():
        await machinery.registration.ready()
        await until(lambda: api.find(coordination.Lease, "n1", "kube-node-lease"))
        before = api.written()
        for _ in range(3):
            machinery.registration.changed()
            await asyncio.sleep(0.02)
        assert api.written() == before


async def test_what_others_wrote_on_the_node_stays(api: Any, client: Client) -> None:
    node = core.Node()
    node.metadata.name = "n1"
    node.metadata.labels["zone"] = "a"
    node.spec.pod_cidr = "10.244.3.0/24"
    await api.put(node)
    machinery = Machinery(client)
    machinery.not_ready = None
    async with machinery.running():
        await machinery.registration.ready()
    found = api.find(core.Node, "n1")
    assert (found.metadata.labels["zone"], found.spec.pod_cidr) == ("a", "10.244.3.0/24")
    assert found.metadata.labels["kubernetes.io/os"] == "linux"


async def test_a_conflict_is_read_again_and_a_deleted_node_comes_back(api: Any, client: Client) -> None:
    machinery = Machinery(client)
    async with machinery.running():
        await machinery.registration.registered()
        changed = core.Node()
        changed.CopyFrom(api.find(core.Node, "n1"))
        changed.spec.pod_cidr = "10.244.0.0/24"
        await api.put(changed)
        machinery.not_ready = None
        machinery.registration.changed()
        await machinery.registration.ready()
        assert api.find(core.Node, "n1").spec.pod_cidr == "10.244.0.0/24"
        await api.remove(api.find(core.Node, "n1"))
        machinery.registration.lost()
        await until(lambda: api.find(core.Node, "n1"))


async def test_an_api_that_does_not_answer_is_asked_again(api: Any, client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(registration, "RETRY_FIRST_S", 0.01)
    api.refusals.extend([errors.InternalError("no quorum")] * 3)
    machinery = Machinery(client)
    machinery.not_ready = None
    async with machinery.running():
        await machinery.registration.ready()


async def test_the_lease_is_kept_though_the_watch_brought_the_node_first(api: Any, client: Client) -> None:
    node = core.Node()
    node.metadata.name = "n1"
    stored = await api.put(node)
    machinery = Machinery(client)
    machinery.registration.seen(stored or api.find(core.Node, "n1"))
    async with machinery.running():
        await machinery.registration.registered()
        await until(lambda: api.find(coordination.Lease, "n1", "kube-node-lease"))
        assert "kubernetes.io/hostname" in api.find(core.Node, "n1").metadata.labels
