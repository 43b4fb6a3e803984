"""The client against a small API server: verbs, errors, and watches that survive everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_api import FakeApi
from raftsman import Client, ClientConfig, Event, EventType, errors
from raftsman.client import transport
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta


def config_map(name: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default"), data=data)


async def take(events: Any, count: int) -> list[Event[Any]]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


def shown(events: list[Event[Any]]) -> list[tuple[EventType, str]]:
    return [(event.type, event.object.metadata.name) for event in events]


async def test_an_object_is_created_read_updated_and_deleted(client: Client) -> None:
    created = await client.create(core.ConfigMap(metadata=meta.ObjectMeta(name="a"), data={"k": "1"}))
    assert created.metadata.namespace == "default"
    created.data["k"] = "2"
    await client.update(created)
    assert (await client.get(core.ConfigMap, "a")).data["k"] == "2"
    assert [item.metadata.name for item in (await client.list(core.ConfigMap)).items] == ["a"]
    await client.delete(core.ConfigMap, "a")
    with pytest.raises(errors.NotFound):
        await client.get(core.ConfigMap, "a")


async def test_an_update_from_an_old_state_is_a_conflict(client: Client) -> None:
    created = await client.create(config_map("a"))
    await client.update(created)
    with pytest.raises(errors.Conflict):
        await client.update(created)


async def test_a_read_is_tried_again_while_the_server_is_unavailable(api: FakeApi, client: Client) -> None:
    await client.create(config_map("a"))
    api.refusals[:] = [errors.Unavailable("leaderless"), errors.Unavailable("leaderless")]
    assert (await client.get(core.ConfigMap, "a")).metadata.name == "a"


async def test_a_write_is_never_sent_twice(api: FakeApi, client: Client) -> None:
    api.refusals.append(errors.Unavailable("leaderless"))
    with pytest.raises(errors.Unavailable):
        await client.create(config_map("a"))
    assert api.calls == [("Create", "configmaps")]


async def test_a_write_that_a_busy_server_did_not_look_at_is_sent_again(api: FakeApi, client: Client) -> None:
    api.refusals.append(errors.TooManyRequests("busy"))
    assert (await client.create(config_map("a"))).metadata.uid
    assert len(api.calls) == 2


async def test_an_answer_that_is_too_large_is_named_and_not_asked_for_again(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_OPTIONS", (("grpc.max_receive_message_length", 1000),))
    with pytest.raises(errors.BadRequest, match="larger than"):
        await client.create(config_map("a", big="x" * 2000))
    assert len(api.calls) == 1


async def test_a_server_that_stays_busy_is_an_error(api: FakeApi, client: Client) -> None:
    api.refusals += [errors.TooManyRequests("busy")] * client.config.attempts_max
    with pytest.raises(errors.TooManyRequests):
        await client.create(config_map("a"))


async def test_a_server_that_is_not_there_is_named(tmp_path: Any) -> None:
    async with Client(ClientConfig(target=f"unix:{tmp_path}/none", plaintext=True)) as client:
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await client.get(core.ConfigMap, "a")


async def test_a_watch_begins_with_what_is_there(client: Client) -> None:
    await client.create(config_map("a"))
    events = client.watch(core.ConfigMap)
    assert shown(await take(events, 1)) == [(EventType.ADDED, "a")]
    await client.create(config_map("b"))
    await client.delete(core.ConfigMap, "a")
    assert shown(await take(events, 2)) == [(EventType.ADDED, "b"), (EventType.DELETED, "a")]
    await events.aclose()


async def test_a_watch_resumes_without_gap_or_repetition_after_a_disconnect(api: FakeApi, client: Client) -> None:
    await client.create(config_map("a"))
    events = client.watch(core.ConfigMap)
    await take(events, 1)
    follower = asyncio.create_task(take(events, 3))
    for name in ("b", "c", "d"):
        await api.drop_streams()
        await api.put(config_map(name))
        await asyncio.sleep(0.05)
    assert shown(await follower) == [(EventType.ADDED, name) for name in ("b", "c", "d")]


async def test_a_watch_survives_a_restart_of_the_server(api: FakeApi, client: Client) -> None:
    await client.create(config_map("a"))
    events = client.watch(core.ConfigMap)
    await take(events, 1)
    follower = asyncio.create_task(take(events, 1))
    await asyncio.sleep(0.05)
    await api.stop()
    await api.put(config_map("b"))
    await api.start()
    assert shown(await follower) == [(EventType.ADDED, "b")]


async def test_an_expired_watch_shows_the_difference_and_no_error(api: FakeApi, client: Client) -> None:
    for name in ("gone", "changed", "same"):
        await client.create(config_map(name))
    events = client.watch(core.ConfigMap)
    await take(events, 3)
    follower = asyncio.create_task(take(events, 3))
    await asyncio.sleep(0.05)
    await api.stop()
    await api.remove(config_map("gone"))
    changed = api.find(core.ConfigMap, "changed", "default")
    await api.put(changed)
    await api.put(config_map("new"))
    api.forget_history()
    await api.start()
    assert shown(await follower) == [
        (EventType.DELETED, "gone"), (EventType.MODIFIED, "changed"), (EventType.ADDED, "new"),
    ]  # fmt: skip


async def test_what_cannot_get_better_ends_a_watch(api: FakeApi, client: Client) -> None:
    api.refusals.append(errors.Forbidden("configmaps is forbidden"))
    with pytest.raises(errors.Forbidden):
        await take(client.watch(core.ConfigMap), 1)


async def test_wait_returns_the_state_that_was_waited_for(api: FakeApi, client: Client) -> None:
    waiting = asyncio.create_task(
        client.wait(core.ConfigMap, "a", lambda obj: obj is not None and obj.data["k"] == "2", timeout_s=10)
    )
    await asyncio.sleep(0.05)
    await api.put(config_map("a", k="1"))
    await api.put(config_map("a", k="2"))
    found = await waiting
    assert found is not None
    assert found.data["k"] == "2"
    gone = asyncio.create_task(client.wait(core.ConfigMap, "a", lambda obj: obj is None, timeout_s=10))
    await asyncio.sleep(0.05)
    await client.delete(core.ConfigMap, "a")
    assert await gone is None


async def test_wait_gives_up_in_time(client: Client) -> None:
    with pytest.raises(errors.Timeout, match="ConfigMap a"):
        await client.wait(core.ConfigMap, "a", lambda obj: obj is not None, timeout_s=0.1)


async def test_a_cancelled_watch_leaves_no_stream_behind(api: FakeApi, client: Client) -> None:
    async def follow() -> None:
        async for _ in client.watch(core.ConfigMap):
            pass

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    assert api.streams == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert api.streams == 0
