"""Lists and watches: selection, pages, resumption, order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from raftsman import errors
from raftsman.core import v1 as core

from .cluster import Api, ApiServerProcess
from .test_lifecycle import a_config, bind
from .test_objects import a_pod

ADDED, MODIFIED, DELETED, BOOKMARK = 1, 2, 3, 4


async def test_pages_of_a_list_are_of_one_revision(api: Api, namespace: str) -> None:
    for number in range(7):
        await api.create(a_config(namespace, f"c{number}"))
    first = await api.list(core.ConfigMap, namespace=namespace, limit=3)
    assert first.metadata.remaining_item_count == 4
    await api.delete(core.ConfigMap, "c5", namespace)
    await api.create(a_config(namespace, "c9"))
    names = [one.metadata.name for one in first.items]
    token = first.metadata.continue_token
    while token:
        page = await api.list(core.ConfigMap, namespace=namespace, limit=3, continue_token=token)
        assert page.metadata.resource_version == first.metadata.resource_version
        names += [one.metadata.name for one in page.items]
        token = page.metadata.continue_token
    assert names == [f"c{number}" for number in range(7)]


async def test_a_list_is_never_older_than_a_finished_write(api: Api, namespace: str) -> None:
    for number in range(20):
        await api.create(a_config(namespace, f"c{number}"))
        assert len((await api.list(core.ConfigMap, namespace=namespace)).items) == number + 1


async def test_an_unknown_field_selector_is_refused(api: Api) -> None:
    with pytest.raises(errors.BadRequest, match="is not a known field selector for pods"):
        await api.list(core.Pod, field_selector="spec.image=x")


async def test_label_and_field_selectors_choose(api: Api, namespace: str) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        pod = a_pod(namespace, name)
        pod.metadata.labels["tier"] = tier
        await api.create(pod)
    listed = await api.list(
        core.Pod,
        namespace=namespace,
        label_selector="tier in (front)",
        field_selector="metadata.name!=c,status.phase=Pending",
    )
    assert [one.metadata.name for one in listed.items] == ["a"]


async def test_a_watch_without_a_revision_starts_with_what_there_is(api: Api, namespace: str) -> None:
    await api.create(a_config(namespace, "a"))
    await api.create(a_config(namespace, "b"))
    seen = []
    async for event_type, found in api.watch(core.ConfigMap, namespace=namespace):
        seen.append((event_type, found.metadata.name))
        if len(seen) == 2:
            await api.create(a_config(namespace, "c"))
        if len(seen) == 3:
            break
    assert seen == [(ADDED, "a"), (ADDED, "b"), (ADDED, "c")]


async def test_initial_events_end_with_a_marked_bookmark(api: Api, namespace: str) -> None:
    await api.create(a_config(namespace, "a"))
    request = {"namespace": namespace, "send_initial_events": True, "allow_bookmarks": True}
    async for event_type, found in api.watch(core.ConfigMap, **request):
        if event_type == BOOKMARK:
            assert found.metadata.annotations["k8s.io/initial-events-end"] == "true"
            break


async def test_what_leaves_a_selection_is_deleted_from_it(api: Api, namespace: str) -> None:
    config = a_config(namespace)
    config.metadata.labels["x"] = "1"
    config = await api.create(config)
    since = config.metadata.resource_version
    for value in ("2", "1", "1"):
        config.metadata.labels["x"] = value
        config.data["n"] = config.data["n"] + "i"
        config = await api.update(config)
    seen = []
    async for event_type, found in api.watch(
        core.ConfigMap, namespace=namespace, label_selector="x=1", resource_version=since
    ):
        seen.append((event_type, found.metadata.resource_version > since))
        if len(seen) == 3:
            break
    assert seen == [(DELETED, True), (ADDED, True), (MODIFIED, True)]


async def test_a_node_watches_its_own_pods(api: Api, namespace: str) -> None:
    node = f"node-{namespace}"
    since = (await api.list(core.Pod, namespace=namespace)).metadata.resource_version
    for name in ("a", "b"):
        await api.create(a_pod(namespace, name))
    await bind(api, namespace, "a", node="other")
    await bind(api, namespace, "b", node=node)
    async for event_type, found in api.watch(core.Pod, field_selector=f"spec.nodeName={node}", resource_version=since):
        assert (event_type, found.metadata.name) == (ADDED, "b")
        break


async def test_a_revision_that_is_gone_is_said_to_be(namespace: str, second: Api) -> None:
    with pytest.raises(errors.Expired, match="too old resource version"):
        async for _ in second.watch(core.Pod, resource_version="1"):
            pass


async def test_concurrent_watchers_see_every_change_in_order(
    server: ApiServerProcess, api: Api, namespace: str
) -> None:
    since = (await api.list(core.ConfigMap, namespace=namespace)).metadata.resource_version

    async def follow() -> list[str]:
        seen = []
        async with server.client() as client:
            async for _, found in client.watch(core.ConfigMap, namespace=namespace, resource_version=since):
                seen.append(found.metadata.resource_version)
                if len(seen) == 60:
                    return seen
        return seen

    async def write(name: str) -> None:
        config = await api.create(a_config(namespace, name))
        for number in range(5):
            config.data["n"] = str(number)
            config = await api.update(config)

    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(follow()) for _ in range(5)]
        for number in range(10):
            group.create_task(write(f"c{number}"))
    first = followers[0].result()
    assert [int(one) for one in first] == sorted(int(one) for one in first)
    assert len(set(first)) == 60
    assert all(follower.result() == first for follower in followers)


async def test_a_get_at_any_revision_is_served_at_once(api: Api, namespace: str) -> None:
    made = await api.create(a_config(namespace))
    found = await api.get(core.ConfigMap, "c", namespace, resource_version=made.metadata.resource_version)
    assert found == made


@pytest.mark.parametrize("asked", [
    {"resource_version": "²"}, {"resource_version": "9" * 30}, {"continue_token": "WzFlNDAwLCJhIl0="},
    {"continue_token": "Wy01LCJhL2IiXQ=="}, {"resource_version_match": 7},
    {"resource_version": "0", "resource_version_match": 1},
])  # fmt: skip
async def test_a_list_that_makes_no_sense_is_the_callers_mistake(api: Api, asked: dict[str, Any]) -> None:
    with pytest.raises(errors.BadRequest):
        await api.list(core.ConfigMap, **asked)
