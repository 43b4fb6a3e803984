"""kubernetes_asyncio: the official client's twin on aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import kubernetes_asyncio
import pytest
import yaml
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.dynamic import DynamicClient

from .manifests import WEB


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[k8s.ApiClient]:
    config = k8s.Configuration()
    await kubernetes_asyncio.config.load_kube_config(str(kubeconfig), client_configuration=config)
    async with k8s.ApiClient(config) as found:
        yield found


def config_map(name: str, **data: str) -> k8s.V1ConfigMap:
    return k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name=name), data=data)


async def test_objects_live_a_whole_life(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    await core.create_namespaced_config_map(namespace, config_map("c", a="1"))
    await core.patch_namespaced_config_map("c", namespace, {"data": {"b": "2"}})
    assert (await core.read_namespaced_config_map("c", namespace)).data == {"a": "1", "b": "2"}
    with pytest.raises(ApiException) as refused:
        await core.create_namespaced_config_map(namespace, config_map("c"))
    assert refused.value.status == 409
    await core.delete_namespaced_config_map("c", namespace)
    assert "c" not in [one.metadata.name for one in (await core.list_namespaced_config_map(namespace)).items]


async def test_a_watch_shows_changes_as_they_come(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    since = (await core.list_namespaced_config_map(namespace)).metadata.resource_version
    seen: list[tuple[str, str]] = []

    async def watch() -> None:
        async with kubernetes_asyncio.watch.Watch() as changes:
            async for event in changes.stream(
                core.list_namespaced_config_map, namespace, resource_version=since, field_selector="metadata.name=c"
            ):
                seen.append((event["type"], event["object"].metadata.name))
                if event["type"] == "DELETED":
                    return

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(watch())
        await core.create_namespaced_config_map(namespace, config_map("c"))
        await core.patch_namespaced_config_map("c", namespace, {"data": {"a": "1"}})
        await core.delete_namespaced_config_map("c", namespace)
    assert seen == [("ADDED", "c"), ("MODIFIED", "c"), ("DELETED", "c")]


async def test_the_dynamic_client_applies(api: k8s.ApiClient, namespace: str) -> None:
    dynamic = await DynamicClient(api)
    deployments = await dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    made = await deployments.server_side_apply(body=yaml.safe_load(WEB), namespace=namespace, field_manager="py")
    assert made.spec.replicas == 2
    listed = await deployments.get(namespace=namespace)
    assert [one.metadata.name for one in listed.items] == ["web"]


async def test_manifests_are_created(api: k8s.ApiClient, namespace: str) -> None:
    await kubernetes_asyncio.utils.create_from_dict(api, yaml.safe_load(WEB), namespace=namespace)
    assert (await k8s.AppsV1Api(api).read_namespaced_deployment("web", namespace)).spec.replicas == 2
