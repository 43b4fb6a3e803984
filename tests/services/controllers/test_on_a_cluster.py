"""The controllers on a real store and API server, among all the others; pods become ready when the test says so."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from raftsman import Client
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.meta import v1 as meta


async def eventually(look: Callable[[], Awaitable[Any]], timeout_s: float = 15.0) -> Any:
    """The first truthy answer of `look`."""
    async with asyncio.timeout(timeout_s):
        while not (found := await look()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found


def deployment(name: str, namespace: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


async def pods_of(client: Client, namespace: str) -> list[core.Pod]:
    return list((await client.list(core.Pod, namespace=namespace)).items)


async def answer_for_the_agent(client: Client, pod: core.Pod, address: str) -> None:
    pod.metadata.ClearField("resource_version")
    pod.status.phase = "Running"
    pod.status.pod_ip = address
    pod.status.pod_ips.add(ip=address)
    for kind in ("Ready", "ContainersReady"):
        pod.status.conditions.add(type=kind, status="True")
    await client.update_status(pod)


async def test_a_new_node_has_pod_addresses_at_once(client: Client) -> None:
    name = f"n-{secrets.token_hex(3)}"
    started = time.monotonic()
    await client.create(core.Node(metadata=meta.ObjectMeta(name=name)))
    node = await client.wait(core.Node, name, lambda n: n is not None and bool(n.spec.pod_cidr), timeout_s=10)
    assert time.monotonic() - started < 1
    assert node is not None
    assert list(node.spec.pod_cidrs) == [node.spec.pod_cidr]
    await client.delete(core.Node, name)


async def test_the_root_authority_is_repaired(client: Client, namespace: str) -> None:
    name = "kube-root-ca.crt"
    there = await client.wait(core.ConfigMap, name, lambda m: m is not None, namespace=namespace, timeout_s=10)
    assert there is not None
    await client.patch(core.ConfigMap, name, {"data": {"ca.crt": "FALSE"}}, namespace=namespace)
    await client.wait(
        core.ConfigMap, name, lambda m: m is not None and m.data == there.data, namespace=namespace, timeout_s=10
    )


async def test_pods_become_endpoints_and_leave_with_their_deployment(client: Client, namespace: str) -> None:
    await client.apply_manifest(deployment("web", namespace, 3))
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    await client.apply_manifest(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}, "spec": service}
    )

    async def three() -> list[core.Pod]:
        found = await pods_of(client, namespace)
        return found if len(found) == 3 else []

    for number, pod in enumerate(await eventually(three)):
        await answer_for_the_agent(client, pod, f"10.244.9.{number + 2}")

    async def ready_endpoints() -> list[discovery.Endpoint]:
        slices = (await client.list(discovery.EndpointSlice, namespace=namespace)).items
        found = [e for s in slices for e in s.endpoints if e.conditions.ready]
        return found if len(found) == 3 else []

    async def ready_addresses() -> bool:
        found = (await client.list(core.Endpoints, namespace=namespace)).items
        return bool(found and found[0].subsets and len(found[0].subsets[0].addresses) == 3)

    await eventually(ready_endpoints)
    await eventually(ready_addresses)
    await client.delete(apps.Deployment, "web", namespace=namespace)

    async def leaving() -> bool:
        sets = (await client.list(apps.ReplicaSet, namespace=namespace)).items
        return not sets and all(p.metadata.HasField("deletion_timestamp") for p in await pods_of(client, namespace))

    await eventually(leaving)


@pytest.mark.parametrize("policy", ["Foreground", "Orphan"])
async def test_a_deployment_goes_last_or_alone_as_asked(client: Client, namespace: str, policy: str) -> None:
    await client.apply_manifest(deployment("web", namespace, 0))

    async def sets() -> list[apps.ReplicaSet]:
        return list((await client.list(apps.ReplicaSet, namespace=namespace)).items)

    await eventually(sets)
    await client.delete(apps.Deployment, "web", namespace=namespace, propagation=policy)
    await client.wait(apps.Deployment, "web", lambda d: d is None, namespace=namespace, timeout_s=15)
    left = await sets()
    if policy == "Foreground":
        assert not left
    else:
        assert len(left) == 1
        assert not left[0].metadata.owner_references


async def test_a_namespace_goes_when_the_last_thing_in_it_does(client: Client) -> None:
    name = f"t-{secrets.token_hex(4)}"
    await client.create(core.Namespace(metadata=meta.ObjectMeta(name=name)))
    held = meta.ObjectMeta(name="held", namespace=name, finalizers=["example.com/hold"])
    await client.create(core.Secret(metadata=held))
    await client.delete(core.Namespace, name)

    def says_why(found: core.Namespace | None) -> bool:
        assert found is not None
        return any("example.com/hold: 1" in c.message for c in found.status.conditions)

    await client.wait(core.Namespace, name, says_why, timeout_s=15)
    await client.patch(core.Secret, "held", {"metadata": {"finalizers": None}}, namespace=name)
    await client.wait(core.Namespace, name, lambda n: n is None, timeout_s=30)
