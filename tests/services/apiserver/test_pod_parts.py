"""The parts of a pod that are changed on their own: ephemeral containers."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import errors
from raftsman.core import v1 as core

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_objects import a_pod


async def add(api: Api, pod: core.Pod) -> core.Pod:
    found: core.Pod = await api._write(pod, "UpdateEphemeralContainers")
    return found


def with_one(pod: core.Pod, name: str, *, target: str = "app", **fields: Any) -> core.Pod:
    changed = core.Pod()
    changed.CopyFrom(pod)
    one = changed.spec.ephemeral_containers.add(target_container_name=target)
    one.ephemeral_container_common.MergeFrom(core.EphemeralContainerCommon(name=name, image="tools:1", **fields))
    return changed


async def test_ephemeral_containers_are_added_with_their_defaults(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace))
    changed = with_one(pod, "debug", stdin=True)
    changed.metadata.labels["not"] = "taken"
    changed.spec.containers[0].image = "not-taken:1"
    stored = await add(api, changed)
    (one,) = stored.spec.ephemeral_containers
    assert one.target_container_name == "app"
    assert one.ephemeral_container_common.image_pull_policy == "IfNotPresent"
    assert one.ephemeral_container_common.termination_message_path == "/dev/termination-log"
    assert stored.spec.containers == pod.spec.containers
    assert "not" not in stored.metadata.labels
    assert stored.metadata.generation == pod.metadata.generation + 1
    again = await add(api, with_one(stored, "second"))
    assert [one.ephemeral_container_common.name for one in again.spec.ephemeral_containers] == ["debug", "second"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "app"}, r"spec.ephemeralContainers\[0\].name: Duplicate value"),
        ({"name": "Not A Name"}, r"spec.ephemeralContainers\[0\].name: Invalid value"),
        ({"name": "x", "target": "nope"}, r"spec.ephemeralContainers\[0\].targetContainerName: Not found"),
        ({"name": "x", "ports": [core.ContainerPort(container_port=1)]}, r"\[0\].ports: Forbidden"),
        ({"name": "x", "lifecycle": core.Lifecycle()}, r"\[0\].lifecycle: Forbidden"),
        ({"name": "x", "liveness_probe": core.Probe()}, r"\[0\].livenessProbe: Forbidden"),
    ],
)
async def test_what_an_ephemeral_container_may_not_be_is_named(
    api: Api, namespace: str, fields: dict[str, Any], why: str
) -> None:
    pod = await api.create(a_pod(namespace))
    with pytest.raises(errors.Invalid, match=why):
        await add(api, with_one(pod, **fields))


async def test_one_that_is_there_neither_goes_nor_changes(server: ApiServerProcess, api: Api, namespace: str) -> None:
    stored = await add(api, with_one(await api.create(a_pod(namespace)), "debug"))
    stored.spec.ephemeral_containers[0].ephemeral_container_common.image = "other:1"
    with pytest.raises(errors.Invalid, match='existing ephemeral containers "debug" may not be changed'):
        await add(api, stored)
    del stored.spec.ephemeral_containers[:]
    with pytest.raises(errors.Invalid, match='existing ephemeral containers "debug" may not be removed'):
        await add(api, stored)
    rest = Rest(server)
    path = f"/api/v1/namespaces/{namespace}/pods/web/ephemeralcontainers"
    patch = {"spec": {"ephemeralContainers": [{"name": "more", "image": "tools:1"}]}}
    headers = {"content-type": "application/strategic-merge-patch+json"}
    code, answer = rest.json("PATCH", path, patch, headers=headers)
    assert (code, [one["name"] for one in answer["spec"]["ephemeralContainers"]]) == (200, ["debug", "more"])
    assert rest.json("GET", path)[0] == 200
    rest.close()


def sized(namespace: str, **amounts: str) -> core.Pod:
    pod = a_pod(namespace)
    for name, amount in amounts.items():
        pod.spec.containers[0].resources.requests[name].string = amount
    return pod


async def test_resources_change_and_nothing_else(api: Api, namespace: str) -> None:
    pod = await api.create(sized(namespace, cpu="100m"))
    pod.spec.containers[0].resources.requests["cpu"].string = "200m"
    pod.spec.containers[0].image = "not-taken:1"
    stored = await api._write(pod, "Resize")
    assert stored.spec.containers[0].resources.requests["cpu"].string == "200m"
    assert stored.spec.containers[0].image != "not-taken:1"
    assert stored.metadata.generation == pod.metadata.generation + 1
    with pytest.raises(errors.ImmutableField, match="pod updates may not change fields"):
        stored.spec.containers[0].resources.requests["cpu"].string = "300m"
        await api.update(stored)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({}, {"cpu": "1"}, "Pod QOS Class may not change"),
        ({"cpu": "1"}, {}, r"requests\[cpu\]: Forbidden: resource requests cannot be removed"),
        ({"cpu": "1"}, {"cpu": "1", "ephemeral-storage": "1Gi"}, "only cpu and memory resources are mutable"),
        ({"cpu": "1"}, {"cpu": "-1"}, r"spec.containers\[0\].resources.requests\[cpu\]: Invalid value"),
    ],
)
async def test_what_a_resize_may_not_do_is_named(
    api: Api, namespace: str, before: dict[str, str], after: dict[str, str], why: str
) -> None:
    pod = await api.create(sized(namespace, **before))
    pod.spec.containers[0].resources.CopyFrom(sized(namespace, **after).spec.containers[0].resources)
    with pytest.raises(errors.Invalid, match=why):
        await api._write(pod, "Resize")
