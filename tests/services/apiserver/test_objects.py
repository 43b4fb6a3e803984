"""What every kind has in common, against a real store and a real server."""

from __future__ import annotations

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from .cluster import Api


def a_pod(namespace: str, name: str = "web", image: str = "localhost/raftsman-demo:1") -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    pod.spec.containers.add(name="app", image=image)
    return pod


async def test_a_created_object_is_read_back_with_its_revision(api: Api, namespace: str) -> None:
    created = await api.create(a_pod(namespace))
    assert created.metadata.uid
    assert created.metadata.resource_version.isdigit()
    assert await api.get(core.Pod, "web", namespace) == created


async def test_a_name_is_taken_once(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    with pytest.raises(errors.AlreadyExists, match='pods "web" already exists'):
        await api.create(a_pod(namespace))


async def test_a_missing_object_is_not_found(api: Api, namespace: str) -> None:
    with pytest.raises(errors.NotFound, match='pods "nope" not found'):
        await api.get(core.Pod, "nope", namespace)


async def test_an_update_of_an_old_revision_conflicts(api: Api, namespace: str) -> None:
    created = await api.create(a_pod(namespace))
    created.metadata.labels["a"] = "1"
    updated = await api.update(created)
    assert int(updated.metadata.resource_version) > int(created.metadata.resource_version)
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await api.update(created)


async def test_a_write_that_changes_nothing_makes_no_revision(api: Api, namespace: str) -> None:
    created = await api.create(a_pod(namespace))
    assert await api.update(created) == created


async def test_a_watch_from_a_revision_sees_each_change_once_and_in_order(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace))
    since = pod.metadata.resource_version
    for number in range(5):
        pod.metadata.labels["n"] = str(number)
        pod = await api.update(pod)
    await api.delete(core.Pod, "web", namespace)
    seen = []
    async for event_type, found in api.watch(core.Pod, namespace=namespace, resource_version=since):
        seen.append((event_type, found.metadata.labels["n"]))
        if event_type == meta.EVENT_TYPE_DELETED:
            assert int(found.metadata.resource_version) > int(pod.metadata.resource_version)
            break
    assert seen == [(2, "0"), (2, "1"), (2, "2"), (2, "3"), (2, "4"), (3, "4")]


async def test_a_merge_patch_changes_what_it_names(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    patched = await api.patch(core.Pod, "web", b'{"metadata":{"labels":{"x":"y"}}}', namespace=namespace)
    assert dict(patched.metadata.labels) == {"x": "y"}


async def test_a_pod_is_bound_once(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    binding = core.Binding(target=core.ObjectReference(kind="Node", name="n1"))
    binding.metadata.name = "web"
    request = core.BindRequest(namespace=namespace, binding=binding)
    await api.of(core.Pod, "Bind", request, core.BindResponse)
    pod = await api.get(core.Pod, "web", namespace)
    assert pod.spec.node_name == "n1"
    with pytest.raises(errors.Conflict, match="already assigned to node"):
        await api.of(core.Pod, "Bind", request, core.BindResponse)


async def test_a_patch_changes_nothing_else_of_what_came_as_protobuf(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    pod.spec.host_network, pod.spec.containers[0].working_dir = False, ""
    pod.spec.containers[0].readiness_probe.handler.tcp_socket.port.int_val = 8080
    made = await api.create(pod)
    after = await api.patch(core.Pod, "web", b'{"metadata": {"labels": {"a": "b"}}}', namespace=namespace)
    assert after.spec == made.spec
    unchanged = await api.patch(core.Pod, "web", b"{}", namespace=namespace)
    assert unchanged.metadata.resource_version == after.metadata.resource_version
