"""ConfigMaps and Secrets that pods refer to, followed while they do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from raftsman import Client
from raftsman.agents.node import references
from raftsman.agents.node.references import Reference, ReferenceFault, References
from raftsman.core import v1 as core


def config_map(name: str, **data: str) -> core.ConfigMap:
    made = core.ConfigMap(data=data)
    made.metadata.name, made.metadata.namespace = name, "default"
    return made


def pod(*config_maps: str, uid: str = "uid-1") -> core.Pod:
    made = core.Pod()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = "web", "default", uid
    container = made.spec.containers.add(name="web")
    for name in config_maps:
        container.env_from.add().config_map_ref.local_object_reference.name = name
    return made


def test_all_that_a_pod_names_is_found() -> None:
    made = pod("a")
    (web,) = made.spec.containers
    web.env.add(name="K").value_from.secret_key_ref.local_object_reference.name = "b"
    made.spec.init_containers.add(name="i").env.add().value_from.config_map_key_ref.local_object_reference.name = "c"
    made.spec.volumes.add(name="v").volume_source.config_map.local_object_reference.name = "d"
    made.spec.volumes.add(name="w").volume_source.secret.secret_name = "e"
    parts = made.spec.volumes.add(name="x").volume_source.projected.sources
    parts.add().config_map.local_object_reference.name = "f"
    parts.add().secret.local_object_reference.name = "g"
    made.spec.image_pull_secrets.add(name="h")
    found = {(r.message.__name__, r.name) for r in references.of_pod(made)}
    assert found == {
        ("ConfigMap", "a"),
        ("Secret", "b"),
        ("ConfigMap", "c"),
        ("ConfigMap", "d"),
        ("Secret", "e"),
        ("ConfigMap", "f"),
        ("Secret", "g"),
        ("Secret", "h"),
    }
    assert Reference(core.Secret, "default", "h") in set(references.of_pod(made))


async def test_a_referenced_object_is_followed_until_nobody_refers_to_it(api: Any, client: Client) -> None:
    changes: asyncio.Queue[str] = asyncio.Queue()
    held = References(client, on_change=changes.put_nowait)
    await api.put(config_map("a", k="1"))
    async with asyncio.timeout(5):
        await held.acquire(pod("a"))
        await held.acquire(pod("a", uid="uid-2"))
        assert held.get(core.ConfigMap, "default", "a").data == {"k": "1"}
        await api.put(config_map("a", k="2"))
        assert {await changes.get(), await changes.get()} == {"uid-1", "uid-2"}
        assert held.get(core.ConfigMap, "default", "a").data == {"k": "2"}
        held.release("uid-1")
        assert held.get(core.ConfigMap, "default", "a") is not None
        held.release("uid-2")
        assert held.get(core.ConfigMap, "default", "a") is None
    await held.close()


async def test_what_is_missing_is_known_to_be_and_tells_when_it_comes(api: Any, client: Client) -> None:
    changes: asyncio.Queue[str] = asyncio.Queue()
    held = References(client, on_change=changes.put_nowait)
    async with asyncio.timeout(5):
        await held.acquire(pod("late"))
        assert held.get(core.ConfigMap, "default", "late") is None
        await api.put(config_map("late", k="1"))
        assert await changes.get() == "uid-1"
    await held.close()


async def test_more_than_the_bound_is_refused(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(references, "FOLLOWED_MAX", 1)
    held = References(client, on_change=lambda uid: None)
    with pytest.raises(ReferenceFault, match="more than 1"):
        await held.acquire(pod("a", "b"))
    await held.close()
