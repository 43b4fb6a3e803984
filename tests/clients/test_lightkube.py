"""lightkube: typed models over httpx, sync and async."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lightkube
import pytest
from lightkube import codecs
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import CascadeType, PatchType

from .manifests import WEB


@pytest.fixture(scope="module")
def config(kubeconfig: Path) -> lightkube.KubeConfig:
    return lightkube.KubeConfig.from_file(str(kubeconfig))


@pytest.fixture
def client(config: lightkube.KubeConfig, namespace: str) -> Iterator[lightkube.Client]:
    found = lightkube.Client(config, namespace=namespace, field_manager="lightkube", trust_env=False)
    yield found
    found._client._client.close()


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels={"made": "here"}), data=data)


def test_objects_live_a_whole_life(client: lightkube.Client) -> None:
    made = client.create(config_map("c", a="1"))
    client.patch(ConfigMap, "c", {"data": {"b": "2"}}, patch_type=PatchType.MERGE)
    made.data = {"a": "3"}
    with pytest.raises(ApiError) as refused:
        client.replace(made)
    assert refused.value.status.reason == "Conflict"
    assert client.get(ConfigMap, name="c").data == {"a": "1", "b": "2"}
    assert [one.metadata.name for one in client.list(ConfigMap, labels={"made": "here"})] == ["c"]
    client.delete(ConfigMap, "c")
    with pytest.raises(ApiError) as refused:
        client.get(ConfigMap, name="c")
    assert refused.value.status.code == 404


def test_manifests_are_applied_scaled_waited_for_and_deleted(client: lightkube.Client) -> None:
    (deployment,) = codecs.load_all_yaml(WEB)
    client.apply(deployment)
    client.wait(Deployment, "web", for_conditions=["Available"])
    client.patch(Deployment.Scale, "web", {"spec": {"replicas": 1}}, patch_type=PatchType.MERGE)
    assert client.get(Deployment.Scale, name="web").spec.replicas == 1
    with pytest.raises(ApiError) as refused:
        client.apply(deployment, field_manager="other")
    assert refused.value.status.code == 409
    client.apply(deployment, field_manager="other", force=True)
    client.delete(Deployment, "web", cascade=CascadeType.FOREGROUND)


def test_a_list_in_chunks_is_whole_and_a_watch_goes_on_from_it(client: lightkube.Client) -> None:
    for index in range(5):
        client.create(config_map(f"c{index}"))
    found = client.list(ConfigMap, labels={"made": "here"}, chunk_size=2)
    assert len([*found]) == 5
    client.delete(ConfigMap, "c0")
    for kind, one in client.watch(ConfigMap, labels={"made": "here"}, resource_version=found.resourceVersion):
        assert (kind, one.metadata.name) == ("DELETED", "c0")
        break


async def test_the_async_client_does_the_same(config: lightkube.KubeConfig, namespace: str) -> None:
    client = lightkube.AsyncClient(config, namespace=namespace, trust_env=False)
    await client.create(config_map("c"))
    assert "c" in [one.metadata.name async for one in client.list(ConfigMap)]
    assert (await client.get(Namespace, name=namespace)).status.phase == "Active"
    assert [one async for one in client.list(Pod)] == []
    await client.close()
