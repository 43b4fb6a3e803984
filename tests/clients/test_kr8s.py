"""kr8s: objects that know how to look after themselves, sync and async."""

from __future__ import annotations

import asyncio
from pathlib import Path

import kr8s
import pytest
import yaml
from kr8s.asyncio.objects import ConfigMap, Deployment
from kr8s.objects import Deployment as SyncDeployment

from .manifests import WEB


async def test_objects_live_a_whole_life(kubeconfig: Path, namespace: str) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=namespace)
    made = await ConfigMap({"metadata": {"name": "c", "namespace": namespace}, "data": {"a": "1"}}, api=api)
    await made.create()
    await made.patch({"data": {"b": "2"}})
    await made.label({"made": "here"})
    await made.annotate(note="1")
    found = [one async for one in api.get("configmaps", namespace=namespace, label_selector={"made": "here"})]
    assert [one.data for one in found] == [{"a": "1", "b": "2"}]
    await made.delete()
    assert not await made.exists()
    with pytest.raises(kr8s.NotFoundError):
        await ConfigMap.get("c", namespace=namespace, api=api)


async def test_a_deployment_is_scaled_watched_and_has_pods(kubeconfig: Path, namespace: str) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=namespace)
    body = yaml.safe_load(WEB)
    body["metadata"]["namespace"] = namespace
    web = await Deployment(body, api=api)
    await web.create()
    await web.wait("condition=Available", timeout=60)
    await web.scale(3)
    await web.wait("jsonpath='{.status.readyReplicas}'=3", timeout=60)
    assert len(await web.pods()) == 3
    async with asyncio.timeout(60):
        async for kind, one in api.watch("deployments", namespace=namespace):
            assert (kind, one.name) == ("ADDED", "web")
            break
    await web.delete(propagation_policy="Foreground")


async def test_kinds_and_rights_are_discovered(kubeconfig: Path) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
    kinds = {entry["kind"] for entry in await api.api_resources()}
    assert {"Pod", "Deployment", "ClusterRole"} <= kinds
    assert (await api.version())["major"] == "1"
    assert "kubernetes-admin" in await api.whoami()


def test_the_sync_client_does_the_same(kubeconfig: Path, namespace: str) -> None:
    api = kr8s.api(kubeconfig=str(kubeconfig), namespace=namespace)
    body = yaml.safe_load(WEB)
    body["metadata"]["namespace"] = namespace
    web = SyncDeployment(body, api=api)
    web.create()
    assert "web" in [one.name for one in api.get("deployments", namespace=namespace)]
    web.delete()
