"""Deletion, finalizers, generated names, status apart from spec, scale, namespaces."""

from __future__ import annotations

import asyncio

import pytest
from raftsman import errors
from raftsman.apps import v1 as apps
from raftsman.autoscaling import v1 as autoscaling
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from .cluster import Api
from .test_objects import a_pod


def a_config(namespace: str, name: str = "c") -> core.ConfigMap:
    config = core.ConfigMap(data={"a": "b"})
    config.metadata.namespace, config.metadata.name = namespace, name
    return config


async def bind(api: Api, namespace: str, name: str = "web", node: str = "n1") -> None:
    binding = core.Binding(target=core.ObjectReference(kind="Node", name=node))
    binding.metadata.name = name
    await api.of(core.Pod, "Bind", core.BindRequest(namespace=namespace, binding=binding), core.BindResponse)


async def gone(api: Api, message: type, name: str, namespace: str) -> bool:
    try:
        await api.get(message, name, namespace)
    except errors.NotFound:
        return True
    return False


async def test_a_pod_without_a_node_goes_at_once(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    await api.delete(core.Pod, "web", namespace)
    assert await gone(api, core.Pod, "web", namespace)


async def test_a_pod_on_a_node_is_given_its_grace_which_only_gets_shorter(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    await bind(api, namespace)
    marked = await api.delete(core.Pod, "web", namespace)
    assert marked.metadata.deletion_grace_period_seconds == 30
    again = await api.delete(core.Pod, "web", namespace, grace_period_seconds=60)
    assert again.metadata.deletion_timestamp == marked.metadata.deletion_timestamp
    shorter = await api.delete(core.Pod, "web", namespace, grace_period_seconds=10)
    assert shorter.metadata.deletion_timestamp.seconds == marked.metadata.deletion_timestamp.seconds - 20
    wrong = meta.Preconditions(uid="other")
    with pytest.raises(errors.Conflict, match="Precondition failed: UID"):
        await api.delete(core.Pod, "web", namespace, grace_period_seconds=0, preconditions=wrong)
    await api.delete(core.Pod, "web", namespace, grace_period_seconds=0)
    assert await gone(api, core.Pod, "web", namespace)


async def test_an_object_waits_for_its_last_finalizer(api: Api, namespace: str) -> None:
    config = a_config(namespace)
    config.metadata.finalizers.append("example.com/hold")
    await api.create(config)
    marked = await api.delete(core.ConfigMap, "c", namespace)
    assert marked.metadata.HasField("deletion_timestamp")
    marked.metadata.finalizers.append("example.com/more")
    with pytest.raises(errors.Invalid, match="no new finalizers can be added"):
        await api.update(marked)
    await api.patch(core.ConfigMap, "c", b'{"metadata":{"finalizers":null}}', namespace=namespace)
    assert await gone(api, core.ConfigMap, "c", namespace)


async def test_foreground_deletion_leaves_its_finalizer_for_the_collector(api: Api, namespace: str) -> None:
    await api.create(a_config(namespace))
    marked = await api.delete(core.ConfigMap, "c", namespace, propagation_policy="Foreground")
    assert list(marked.metadata.finalizers) == ["foregroundDeletion"]


async def test_generated_names_are_unique(api: Api, namespace: str) -> None:
    config = a_config(namespace, name="")
    config.metadata.generate_name = "c-"
    made = await asyncio.gather(*(api.create(config) for _ in range(20)))
    assert len({one.metadata.name for one in made}) == 20
    assert all(one.metadata.name.startswith("c-") and len(one.metadata.name) == 7 for one in made)


async def test_status_and_spec_are_written_apart(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace))
    pod.status.phase = "Running"
    pod.spec.containers[0].image = "other:1"
    after = await api.update_status(pod)
    assert (after.status.phase, after.spec.containers[0].image) == ("Running", "localhost/raftsman-demo:1")
    assert after.metadata.generation == 1
    after.status.phase = "Failed"
    after.metadata.labels["a"] = "b"
    assert (await api.update(after)).status.phase == "Running"


async def test_a_dry_run_stores_nothing(api: Api, namespace: str) -> None:
    made = await api.create(a_config(namespace), dry_run=True)
    assert made.metadata.uid
    assert await gone(api, core.ConfigMap, "c", namespace)


async def test_a_deployment_is_scaled(api: Api, namespace: str) -> None:
    deployment = apps.Deployment()
    deployment.metadata.namespace, deployment.metadata.name = namespace, "web"
    deployment.spec.selector.match_labels["app"] = "web"
    deployment.spec.template.metadata.labels["app"] = "web"
    deployment.spec.template.spec.containers.add(name="a", image="a")
    await api.create(deployment)
    scale = await api.of(
        apps.Deployment, "GetScale", meta.GetRequest(namespace=namespace, name="web"), autoscaling.Scale
    )
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=web")
    scale.spec.replicas = 4
    request = meta.WriteRequest(object=scale.SerializeToString())
    assert (await api.of(apps.Deployment, "UpdateScale", request, autoscaling.Scale)).spec.replicas == 4
    after = await api.get(apps.Deployment, "web", namespace)
    assert (after.spec.replicas, after.metadata.generation) == (4, 2)
    patched = await api.of(
        apps.Deployment, "Patch",
        meta.PatchRequest(namespace=namespace, name="web", type=meta.PATCH_TYPE_MERGE, subresource="scale",
                          patch=b'{"spec":{"replicas":2}}'),
        autoscaling.Scale,
    )  # fmt: skip
    assert patched.spec.replicas == 2


async def test_a_namespace_is_held_until_finalized_and_takes_nothing_new(api: Api, namespace: str) -> None:
    marked = await api.delete(core.Namespace, namespace)
    assert marked.status.phase == "Terminating"
    with pytest.raises(errors.Forbidden, match="because it is being terminated"):
        await api.create(a_config(namespace))
    marked.spec.ClearField("finalizers")
    request = meta.WriteRequest(object=marked.SerializeToString())
    await api.of(core.Namespace, "Finalize", request)
    assert await gone(api, core.Namespace, namespace, "")


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api) -> None:
    with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
        await api.create(a_config("nowhere"))


async def test_the_cluster_own_namespaces_stay(api: Api) -> None:
    with pytest.raises(errors.Forbidden, match="this namespace may not be deleted"):
        await api.delete(core.Namespace, "kube-system")


async def test_a_collection_is_deleted_by_labels(api: Api, namespace: str) -> None:
    for number in range(4):
        config = a_config(namespace, f"c{number}")
        config.metadata.labels["even"] = str(number % 2 == 0).lower()
        await api.create(config)
    request = meta.DeleteCollectionRequest(namespace=namespace, label_selector="even=true")
    deleted = await api.of(core.ConfigMap, "DeleteCollection", request, core.ConfigMapList)
    assert [one.metadata.name for one in deleted.items] == ["c0", "c2"]
    left = await api.list(core.ConfigMap, namespace=namespace)
    assert [one.metadata.name for one in left.items] == ["c1", "c3"]


async def test_patches_of_many_writers_all_arrive(api: Api, namespace: str) -> None:
    await api.create(a_config(namespace))
    bodies = [b'{"data":{"k%d":"v"}}' % number for number in range(30)]
    await asyncio.gather(*(api.patch(core.ConfigMap, "c", body, namespace=namespace) for body in bodies))
    assert len((await api.get(core.ConfigMap, "c", namespace)).data) == 31


async def test_a_strategic_patch_merges_containers_by_name(api: Api, namespace: str) -> None:
    await api.create(a_pod(namespace))
    body = b'{"spec":{"containers":[{"name":"app","image":"b:2"}]}}'
    kind = meta.PATCH_TYPE_STRATEGIC_MERGE
    patched = await api.patch(core.Pod, "web", body, namespace=namespace, type=kind)
    assert [(one.name, one.image) for one in patched.spec.containers] == [("app", "b:2")]


async def test_many_pods_are_bound_at_once_each_by_itself(api: Api, namespace: str) -> None:
    request = core.BindManyRequest()
    for number in range(5):
        await api.create(a_pod(namespace, f"p{number}"))
        one = request.bindings.add(namespace=namespace)
        one.binding.metadata.name, one.binding.target.name = f"p{number}", "n1"
    await bind(api, namespace, "p3", node="n2")
    request.bindings.add(namespace=namespace).binding.target.name = "n1"
    request.bindings[5].binding.metadata.name = "nope"
    results = (await api.of(core.Pod, "BindMany", request, core.BindManyResponse)).results
    assert [one.error.reason for one in results] == ["", "", "", "Conflict", "", "NotFound"]
    assert len({one.resource_version for one in results if not one.HasField("error")}) == 4
    listed = await api.list(core.Pod, namespace=namespace, field_selector="spec.nodeName=n1")
    assert [one.metadata.name for one in listed.items] == ["p0", "p1", "p2", "p4"]
