"""Informers: caches that are true, handlers that hear everything in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fake_api import FakeApi
from raftsman import Client, EventType, Key
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.meta import v1 as meta


def pod(name: str, *, node: str = "", labels: dict[str, str] | None = None) -> core.Pod:
    made = core.Pod(metadata=meta.ObjectMeta(name=name, namespace="default", labels=labels))
    made.spec.node_name = node
    return made


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def by_node(obj: core.Pod) -> str | None:
    return obj.spec.node_name or None


async def test_the_cache_follows_the_api(api: FakeApi, client: Client) -> None:
    await api.put(pod("a", node="n1"))
    informers = Informers(client)
    pods = informers.get(core.Pod, indexers={"node": by_node})
    async with informers:
        await pods.synced()
        assert pods.cache.get(Key("default", "a")) is not None
        await api.put(pod("b", node="n1"))
        await eventually(lambda: len(pods.cache) == 2)
        assert {p.metadata.name for p in pods.cache.by_index("node", "n1")} == {"a", "b"}
        await api.put(pod("a", node="n2"))
        await eventually(lambda: len(list(pods.cache.by_index("node", "n2"))) == 1)
        assert [p.metadata.name for p in pods.cache.by_index("node", "n1")] == ["b"]
        await api.remove(pod("b"))
        await eventually(lambda: len(pods.cache) == 1)
        assert list(pods.cache.by_index("node", "n1")) == []


async def test_handlers_hear_of_changes_in_order_with_both_states(api: FakeApi, client: Client) -> None:
    heard: list[tuple[EventType, Any, Any]] = []
    informers = Informers(client)
    pods = informers.get(core.Pod)
    pods.add_handler(lambda kind, old, new: heard.append((kind, old, new)))
    async with informers:
        await pods.synced()
        await api.put(pod("a", node="n1"))
        await api.put(pod("a", node="n2"))
        await api.remove(pod("a"))
        await eventually(lambda: len(heard) == 3)
    assert [kind for kind, _, _ in heard] == [EventType.ADDED, EventType.MODIFIED, EventType.DELETED]
    assert (heard[1][1].spec.node_name, heard[1][2].spec.node_name) == ("n1", "n2")
    assert heard[2][2] is None


async def test_a_late_handler_first_hears_what_is_there(api: FakeApi, client: Client) -> None:
    await api.put(pod("a"))
    async with Informers(client) as informers:
        pods = informers.get(core.Pod)
        await pods.synced()
        heard: list[EventType] = []
        pods.add_handler(lambda kind, old, new: heard.append(kind))
        assert heard == [EventType.ADDED]


async def test_a_handler_that_raises_stops_nobody(api: FakeApi, client: Client) -> None:
    def broken(kind: EventType, old: Any, new: Any) -> None:
        raise ValueError("a bug")

    heard: list[EventType] = []
    async with Informers(client) as informers:
        pods = informers.get(core.Pod)
        pods.add_handler(broken)
        pods.add_handler(lambda kind, old, new: heard.append(kind))
        await pods.synced()
        await api.put(pod("a"))
        await eventually(lambda: heard == [EventType.ADDED])


async def test_an_expired_watch_becomes_the_difference(api: FakeApi, client: Client) -> None:
    await api.put(pod("gone"))
    await api.put(pod("stays"))
    heard: list[tuple[EventType, str]] = []
    async with Informers(client) as informers:
        pods = informers.get(core.Pod)
        await pods.synced()
        await eventually(lambda: api.streams == 1)
        pods.add_handler(lambda kind, old, new: heard.append((kind, (new or old).metadata.name)))
        heard.clear()
        await api.stop()
        await api.remove(pod("gone"))
        await api.put(pod("new"))
        api.forget_history()
        await api.start()
        await eventually(lambda: len(heard) == 2)
        assert heard == [(EventType.DELETED, "gone"), (EventType.ADDED, "new")]
        assert {key.name for key in pods.cache.keys()}  # noqa: SIM118 == {"stays", "new"}


async def test_a_replaced_object_is_seen_as_gone_and_new(api: FakeApi, client: Client) -> None:
    await api.put(pod("a"))
    heard: list[EventType] = []
    async with Informers(client) as informers:
        pods = informers.get(core.Pod)
        await pods.synced()
        await eventually(lambda: api.streams == 1)
        await api.stop()
        await api.remove(pod("a"))
        await api.put(pod("a"))
        api.forget_history()
        pods.add_handler(lambda kind, old, new: heard.append(kind))
        heard.clear()
        await api.start()
        await eventually(lambda: len(heard) == 2)
    assert heard == [EventType.DELETED, EventType.ADDED]


async def test_one_selection_has_one_informer(client: Client) -> None:
    informers = Informers(client)
    assert informers.get(core.Pod) is informers.get(core.Pod)
    assert informers.get(core.Pod) is not informers.get(core.Pod, namespace="default")


async def test_metadata_informers_keep_nothing_but_metadata(api: FakeApi, client: Client) -> None:
    await api.put(core.Secret(metadata=meta.ObjectMeta(name="s", namespace="default"), data={"password": b"hunter2"}))
    async with Informers(client) as informers:
        secrets = informers.metadata(core.Secret)
        await secrets.synced()
        await api.put(
            core.Secret(metadata=meta.ObjectMeta(name="t", namespace="default"), data={"password": b"hunter2"})
        )
        await eventually(lambda: len(secrets.cache) == 2)
        assert all(b"hunter2" not in obj.SerializeToString() for obj in secrets.cache)


async def test_metadata_of_a_kind_that_is_cached_anyway_is_shared(client: Client) -> None:
    informers = Informers(client)
    assert informers.get(core.Pod) is informers.metadata(core.Pod)


async def test_a_list_is_read_in_pages(api: FakeApi, client: Client) -> None:
    from raftsman.client import reflection

    for number in range(reflection.PAGE_ITEMS + 5):
        await api.put(pod(f"p{number}"))
    async with Informers(client) as informers:
        pods = informers.get(core.Pod)
        await pods.synced()
        assert len(pods.cache) == reflection.PAGE_ITEMS + 5
    assert api.calls.count(("List", "pods")) == 2


async def test_a_handler_that_asks_for_it_hears_of_everything_again(api: FakeApi, client: Client) -> None:
    heard: list[tuple[EventType, str]] = []
    await api.put(pod("a"))

    def hear(kind: EventType, old: Any, new: Any) -> None:
        heard.append((kind, new.metadata.name))

    informers = Informers(client)
    pods = informers.get(core.Pod)
    pods.add_handler(hear, resync_s=0.02)
    async with informers:
        await eventually(lambda: heard.count((EventType.MODIFIED, "a")) >= 3)
        pods.remove_handler(hear)
        count = len(heard)
        await asyncio.sleep(0.1)
        assert len(heard) == count
    assert heard[0] == (EventType.ADDED, "a")
