"""The whole chain on real processes: a Deployment becomes ReplicaSets, pods and bindings, and goes where it is told."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from raftsman import Client, PatchType, errors
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

from .conftest import Cluster
from .hollow import HollowNode

WAIT_S = 30.0


@pytest.fixture
async def node(client: Client) -> AsyncIterator[HollowNode]:
    async with HollowNode(client, f"n-{secrets.token_hex(3)}") as found:
        yield found


def deployment(namespace: str, node: str, *, replicas: int = 3, image: str = "web:1") -> apps.Deployment:
    """Its pods go to this one node, whatever other tests have."""
    found = apps.Deployment()
    found.metadata.name, found.metadata.namespace = "web", namespace
    found.spec.replicas = replicas
    found.spec.selector.match_labels["app"] = "web"
    found.spec.template.metadata.labels["app"] = "web"
    found.spec.template.spec.containers.add(name="c", image=image)
    found.spec.template.spec.node_selector["kubernetes.io/hostname"] = node
    found.spec.template.spec.termination_grace_period_seconds = 1
    found.spec.progress_deadline_seconds = 600
    found.spec.revision_history_limit = 10
    return found


def is_complete(deploy: apps.Deployment | None) -> bool:
    assert deploy is not None
    status, wanted = deploy.status, deploy.spec.replicas
    return bool(
        status.observed_generation == deploy.metadata.generation
        and status.updated_replicas == status.replicas == status.available_replicas == wanted
    )


async def complete(client: Client, namespace: str) -> apps.Deployment:
    found = await client.wait(apps.Deployment, "web", is_complete, namespace=namespace, timeout_s=WAIT_S)
    assert found is not None
    return found


async def pods_of(client: Client, namespace: str) -> list[core.Pod]:
    return list((await client.list(core.Pod, namespace=namespace)).items)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Ask again and again; for what a single watch does not show."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await condition()):  # noqa: ASYNC110 - what is asked is not always one kind
            await asyncio.sleep(0.02)
    return found


async def set_image(client: Client, namespace: str, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await client.patch(apps.Deployment, "web", patch, namespace=namespace, type=PatchType.STRATEGIC)


async def test_a_deployment_becomes_available(client: Client, namespace: str, node: HollowNode) -> None:
    await client.create(deployment(namespace, node.name))
    done = await complete(client, namespace)
    conditions = {c.type: (c.status, c.reason) for c in done.status.conditions}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert done.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
    (rs,) = (await client.list(apps.ReplicaSet, namespace=namespace)).items
    pods = await pods_of(client, namespace)
    assert {pod.spec.node_name for pod in pods} == {node.name}
    assert all(pod.metadata.name.startswith(f"{rs.metadata.name}-") for pod in pods)


async def test_every_decision_leaves_an_event(client: Client, namespace: str, node: HollowNode) -> None:
    await client.create(deployment(namespace, node.name, replicas=1))
    await complete(client, namespace)

    async def seen() -> set[tuple[str, str]]:
        events = (await client.list(core.Event, namespace=namespace)).items
        found = {(e.involved_object.kind, e.reason) for e in events}
        return found if wanted <= found else set()

    wanted = {("Deployment", "ScalingReplicaSet"), ("ReplicaSet", "SuccessfulCreate"), ("Pod", "Scheduled")}
    await until(seen, "events")


async def test_a_new_image_rolls_out_within_its_limits_and_goes_back(
    client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=4))
    await complete(client, namespace)
    counts: list[tuple[int, int]] = []

    async def count() -> None:
        async for _ in client.watch(apps.ReplicaSet, namespace=namespace):
            sets = (await client.list(apps.ReplicaSet, namespace=namespace)).items
            counts.append((sum(s.spec.replicas for s in sets), sum(s.status.available_replicas for s in sets)))

    counting = asyncio.create_task(count())
    await set_image(client, namespace, "web:2")
    assert (await complete(client, namespace)).metadata.annotations["deployment.kubernetes.io/revision"] == "2"
    await set_image(client, namespace, "web:1")
    assert (await complete(client, namespace)).metadata.annotations["deployment.kubernetes.io/revision"] == "3"
    counting.cancel()
    assert counts
    assert max(told for told, _ in counts) <= 5
    assert min(available for _, available in counts) >= 3
    assert len((await client.list(apps.ReplicaSet, namespace=namespace)).items) == 2
    assert {pod.spec.containers[0].image for pod in await pods_of(client, namespace)} >= {"web:1"}


async def test_a_broken_image_stops_the_rollout_and_leaves_the_old_pods(
    client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=3))
    await complete(client, namespace)
    await set_image(client, namespace, "web:broken")

    def stuck(deploy: apps.Deployment | None) -> bool:
        assert deploy is not None
        return bool(deploy.status.updated_replicas == 1 and deploy.status.replicas == 4)

    found = await client.wait(apps.Deployment, "web", stuck, namespace=namespace, timeout_s=WAIT_S)
    assert found is not None
    assert found.status.available_replicas == 3


async def test_a_deleted_pod_is_replaced_once(client: Client, namespace: str, node: HollowNode) -> None:
    await client.create(deployment(namespace, node.name, replicas=2))
    await complete(client, namespace)
    victim = (await pods_of(client, namespace))[0]
    await client.delete(core.Pod, victim.metadata.name, namespace=namespace)

    async def replaced() -> bool:
        pods = await pods_of(client, namespace)
        return len(pods) == 2 and victim.metadata.uid not in {pod.metadata.uid for pod in pods}

    await until(replaced, "a new pod")
    await complete(client, namespace)
    assert len(await pods_of(client, namespace)) == 2


async def test_scaling_keeps_the_pods_that_are_ready(client: Client, namespace: str, node: HollowNode) -> None:
    await client.create(deployment(namespace, node.name, replicas=2))
    await complete(client, namespace)
    kept = {pod.metadata.uid for pod in await pods_of(client, namespace)}
    for replicas in (5, 2):
        await client.patch(apps.Deployment, "web", {"spec": {"replicas": replicas}}, namespace=namespace)
        await complete(client, namespace)
    await until(lambda: _count(client, namespace, 2), "two pods")
    assert len(kept) == 2


async def _count(client: Client, namespace: str, wanted: int) -> bool:
    return len(await pods_of(client, namespace)) == wanted


async def test_a_pod_that_matches_and_that_nobody_owns_is_adopted(
    client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=1))
    await complete(client, namespace)
    (rs,) = (await client.list(apps.ReplicaSet, namespace=namespace)).items
    (mine,) = await pods_of(client, namespace)
    orphan = core.Pod(spec=rs.spec.template.spec)
    orphan.metadata.name, orphan.metadata.namespace = "orphan", namespace
    orphan.metadata.labels.update(rs.spec.template.metadata.labels)
    await client.create(orphan)

    async def one_left() -> bool:
        pods = await pods_of(client, namespace)
        return len(pods) == 1 and bool(pods[0].metadata.owner_references)

    await until(one_left, "the surplus pod to go")
    assert mine.metadata.owner_references[0].uid == rs.metadata.uid


async def test_a_pod_that_no_longer_matches_is_let_go_and_replaced(
    client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=1))
    await complete(client, namespace)
    (pod,) = await pods_of(client, namespace)
    await client.patch(core.Pod, pod.metadata.name, {"metadata": {"labels": {"app": "debug"}}}, namespace=namespace)
    released = await client.wait(
        core.Pod, pod.metadata.name, lambda p: p is not None and not p.metadata.owner_references,
        namespace=namespace, timeout_s=WAIT_S,
    )  # fmt: skip
    assert released is not None
    await until(lambda: _count(client, namespace, 2), "a replacement")


async def test_a_pod_without_a_node_says_why_and_goes_when_there_is_one(client: Client, namespace: str) -> None:
    name = f"late-{secrets.token_hex(3)}"
    await client.create(deployment(namespace, name, replicas=1))

    async def refused() -> core.Pod | None:
        pods = await pods_of(client, namespace)
        return next((pod for pod in pods if any(c.reason == "Unschedulable" for c in pod.status.conditions)), None)

    pod = await until(refused, "the condition")
    (condition,) = (c for c in pod.status.conditions if c.type == "PodScheduled")
    assert condition.status == "False"
    assert "nodes" in condition.message
    async with HollowNode(client, name):
        await complete(client, namespace)
        (placed,) = await pods_of(client, namespace)
        (condition,) = (c for c in placed.status.conditions if c.type == "PodScheduled")
        assert condition.status == "True"


async def test_room_that_becomes_free_is_given_to_who_waits(client: Client, namespace: str) -> None:
    async with HollowNode(client, f"small-{secrets.token_hex(3)}", cpu="1") as small:
        deploy = deployment(namespace, small.name, replicas=2)
        deploy.spec.template.spec.containers[0].resources.requests["cpu"].string = "600m"
        await client.create(deploy)

        async def waiting() -> list[core.Pod]:
            pods = await pods_of(client, namespace)
            return [p for p in pods if any("Insufficient cpu" in c.message for c in p.status.conditions)]

        (second,) = await until(waiting, "one pod too many")
        first = next(p for p in await pods_of(client, namespace) if p.metadata.uid != second.metadata.uid)
        await client.patch(apps.Deployment, "web", {"spec": {"replicas": 1}}, namespace=namespace)
        await complete(client, namespace)
        (kept,) = await pods_of(client, namespace)
        assert kept.metadata.uid == first.metadata.uid


async def test_a_cluster_at_rest_writes_nothing(client: Client, namespace: str, node: HollowNode) -> None:
    await client.create(deployment(namespace, node.name, replicas=2))
    await complete(client, namespace)
    await asyncio.sleep(0.5)
    before = (await client.list(core.ConfigMap)).metadata.resource_version
    await asyncio.sleep(1.5)
    assert (await client.list(core.ConfigMap)).metadata.resource_version == before


async def test_sigterm_ends_it_cleanly_and_a_new_one_goes_on(
    cluster: Cluster, client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=2))
    await complete(client, namespace)
    assert cluster.running["control"].stop() == 0
    await client.patch(apps.Deployment, "web", {"spec": {"replicas": 3}}, namespace=namespace)
    cluster.start("control")
    cluster.await_ready("control", cluster.settings.control_health_port)
    await complete(client, namespace)
    assert len(await pods_of(client, namespace)) == 3


async def test_an_api_server_that_died_is_followed_again(
    cluster: Cluster, client: Client, namespace: str, node: HollowNode
) -> None:
    await client.create(deployment(namespace, node.name, replicas=1))
    await complete(client, namespace)
    cluster.running["apiserver"].stop(signal.SIGKILL)
    cluster.start("apiserver")
    cluster.await_ready("apiserver", cluster.settings.apiserver_health_port)

    async def scaled() -> bool:
        try:
            await client.patch(apps.Deployment, "web", {"spec": {"replicas": 2}}, namespace=namespace)
        except errors.Unavailable:
            return False
        return True

    await until(scaled, "the API server")
    await complete(client, namespace)
    assert len(await pods_of(client, namespace)) == 2


def flags(cluster: Cluster, **changed: str) -> list[str]:
    command = [word for word in cluster.process("control").command if word.partition("=")[0] not in changed]
    return [*command, *(f"{flag}={value}" for flag, value in changed.items())]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"--kubeconfig-scheduler": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"--root-ca-file": "/nowhere/ca.crt"}, "/nowhere/ca.crt"),
        ({"--cluster-cidr": "10.0.0.0/33"}, "is not a network such as"),
        ({"--node-cidr-mask-size": "8"}, "must be between"),
    ],
)
def test_a_wrong_flag_is_answered_with_a_sentence(cluster: Cluster, changed: dict[str, str], sentence: str) -> None:
    command = flags(cluster, **{"--health-address": "127.0.0.1:0", **changed})
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode in (1, 2)
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_an_address_in_use_is_answered_with_a_sentence(cluster: Cluster) -> None:
    command = flags(cluster)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
