"""ReplicaSet and Deployment controllers against an API that lags, refuses and has taken names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from fake_api import FakeApi
from raftsman import errors
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.resources import Resource
from raftsman.services.controllers.deployment import DeploymentController
from raftsman.services.controllers.deployment_revisions import template_hash
from raftsman.services.controllers.replica_set import ReplicaSetController

from .running import eventually, quiet, running


class Troubled(FakeApi):
    """Shows pods late, and refuses creations."""

    def __init__(self) -> None:
        super().__init__()
        self.lag_s = 0.0
        self.refuse: dict[str, list[errors.ApiError]] = {}

    async def watch(self, resource: Resource, data: bytes) -> AsyncIterator[meta.WatchResponse]:
        async for response in super().watch(resource, data):
            if resource.kind == "Pod":
                await asyncio.sleep(self.lag_s)
            yield response

    async def _create(self, resource: Resource, data: bytes) -> Any:
        if self.refuse.get(resource.kind):
            raise self.refuse[resource.kind].pop(0)
        return await super()._create(resource, data)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Troubled]:
    async with Troubled() as found:
        yield found


def replica_set(replicas: int) -> apps.ReplicaSet:
    found = apps.ReplicaSet()
    found.metadata.name, found.metadata.namespace = "web", "default"
    found.spec.replicas = replicas
    found.spec.selector.match_labels["app"] = "web"
    found.spec.template.metadata.labels["app"] = "web"
    found.spec.template.spec.containers.add(name="c", image="web:1")
    return found


def deployment() -> apps.Deployment:
    found = apps.Deployment()
    found.metadata.name, found.metadata.namespace = "web", "default"
    found.spec.replicas = 2
    found.spec.selector.match_labels["app"] = "web"
    found.spec.template.metadata.labels["app"] = "web"
    found.spec.template.spec.containers.add(name="c", image="web:1")
    found.spec.progress_deadline_seconds = 600
    return found


def events(api: FakeApi) -> list[str]:
    return sorted(event.reason for event in api.all(core.Event))


async def test_a_cache_that_lags_makes_no_duplicates(api: Troubled) -> None:
    api.lag_s = 0.1
    async with running(api, ReplicaSetController()):
        rs = await api.put(replica_set(5))
        for number in range(10):
            await asyncio.sleep(0.02)
            rs = api.find(apps.ReplicaSet, "web", "default")
            changed = apps.ReplicaSet()
            changed.CopyFrom(rs)
            changed.metadata.labels["poke"] = str(number)
            await api.put(changed)
        await eventually(lambda: api.find(apps.ReplicaSet, "web", "default").status.replicas == 5)
        await quiet(api)
    assert api.written().count(("Create", "pods")) == 5
    assert ("Delete", "pods") not in api.written()


async def test_a_cache_that_lags_deletes_nothing_twice(api: Troubled) -> None:
    async with running(api, ReplicaSetController()):
        await api.put(replica_set(4))
        await eventually(lambda: api.find(apps.ReplicaSet, "web", "default").status.replicas == 4)
        api.lag_s = 0.1
        fewer = apps.ReplicaSet()
        fewer.CopyFrom(api.find(apps.ReplicaSet, "web", "default"))
        fewer.spec.replicas = 1
        await api.put(fewer)
        await eventually(lambda: api.find(apps.ReplicaSet, "web", "default").status.replicas == 1)
        await quiet(api)
    assert api.written().count(("Delete", "pods")) == 3


async def test_a_refused_creation_is_tried_once_told_and_tried_again(api: Troubled) -> None:
    api.refuse["Pod"] = [errors.Forbidden("exceeded quota")] * 3
    async with running(api, ReplicaSetController()):
        await api.put(replica_set(8))

        def failure() -> Any:
            conditions = api.find(apps.ReplicaSet, "web", "default").status.conditions
            return next((c for c in conditions if c.type == "ReplicaFailure"), None)

        await eventually(failure)
        assert (failure().reason, failure().message) == ("FailedCreate", "exceeded quota")
        await eventually(lambda: len(api.all(core.Pod)) == 8)
        await eventually(lambda: failure() is None)
        await eventually(lambda: events(api).count("SuccessfulCreate") == 8)
        await quiet(api)
    assert api.written().count(("Create", "pods")) == 11
    assert events(api).count("FailedCreate") == 1


async def test_a_namespace_on_its_way_out_is_no_failure(api: Troubled) -> None:
    cause = errors.Cause("metadata.namespace", "NamespaceTerminating", "namespace default is being terminated")
    api.refuse["Pod"] = [errors.Forbidden("being terminated", causes=(cause,))] * 100
    async with running(api, ReplicaSetController()):
        await api.put(replica_set(3))
        await eventually(lambda: ("Create", "pods") in api.written())
        await quiet(api)
    assert api.all(core.Pod) == []
    assert events(api) == []


async def test_a_set_that_is_gone_makes_no_pods(api: Troubled) -> None:
    async with running(api, ReplicaSetController()):
        rs = replica_set(2)
        rs.metadata.deletion_timestamp.seconds = 1
        await api.put(rs)
        await eventually(lambda: ("UpdateStatus", "replicasets.apps") in api.written())
        await quiet(api)
    assert ("Create", "pods") not in api.written()


async def test_a_name_that_is_taken_by_a_stranger_leads_to_another(api: Troubled) -> None:
    async with running(api, DeploymentController()):
        stranger = replica_set(0)
        stranger.metadata.name = f"web-{template_hash(deployment().spec.template, 0)}"
        stranger.metadata.labels["app"] = "other"
        stranger.metadata.owner_references.add(api_version="v1", kind="Thing", name="t", uid="t", controller=True)
        await api.put(stranger)
        await api.put(deployment())
        second = f"web-{template_hash(deployment().spec.template, 1)}"
        await eventually(lambda: api.find(apps.ReplicaSet, second, "default"))
        assert api.find(apps.Deployment, "web", "default").status.collision_count == 1
        await quiet(api)
    assert len(api.all(apps.ReplicaSet)) == 2


async def test_a_replica_set_that_is_refused_shows_on_the_deployment(api: Troubled) -> None:
    api.refuse["ReplicaSet"] = [errors.Invalid("the template is wrong")] * 100
    async with running(api, DeploymentController()):
        await api.put(deployment())

        def reason() -> str:
            conditions = api.find(apps.Deployment, "web", "default").status.conditions
            return next((str(c.reason) for c in conditions if c.type == "Progressing"), "")

        await eventually(lambda: reason() == "ReplicaSetCreateError")
        api.refuse["ReplicaSet"].clear()
        await eventually(lambda: api.all(apps.ReplicaSet))
        await eventually(lambda: "ScalingReplicaSet" in events(api))
    assert "ReplicaSetCreateError" in events(api)


@pytest.mark.parametrize("replicas", [0, 2])
async def test_both_together_reach_what_is_asked_and_then_write_nothing(api: Troubled, replicas: int) -> None:
    async with running(api, DeploymentController(), ReplicaSetController()):
        asked = deployment()
        asked.spec.replicas = replicas
        await api.put(asked)
        await eventually(lambda: len(api.all(core.Pod)) == replicas)
        await eventually(lambda: api.find(apps.Deployment, "web", "default").status.replicas == replicas)
        await quiet(api)
    assert len(api.all(core.Pod)) == replicas
