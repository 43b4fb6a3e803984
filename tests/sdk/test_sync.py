"""The blocking client: the same verbs without an event loop, on a thread of its own that ends with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from fake_api import FakeApi
from raftsman import errors, sync
from raftsman.client import EventType
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.sync.portal import Portal, feed


def config_map(name: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default"))


class Serving:
    """The fake API on a loop of its own: the blocking client's caller has none to lend."""

    def __init__(self) -> None:
        self.portal = Portal()
        self.api = self.portal.run(self._start())

    async def _start(self) -> FakeApi:
        return await FakeApi().__aenter__()

    def client(self) -> sync.Client:
        return sync.Client(self.api.client().config)

    def close(self) -> None:
        self.portal.run(self.api.__aexit__())
        self.portal.close()


@pytest.fixture
def serving() -> Iterator[Serving]:
    found = Serving()
    yield found
    found.close()


def test_objects_are_created_read_listed_and_deleted(serving: Serving) -> None:
    with serving.client() as client:
        made = client.create(config_map("a"))
        assert made.metadata.uid
        assert client.get(core.ConfigMap, "a").metadata.name == "a"
        assert [one.metadata.name for one in client.list(core.ConfigMap).items] == ["a"]
        client.delete(core.ConfigMap, "a")
        with pytest.raises(errors.NotFound):
            client.get(core.ConfigMap, "a")


def test_a_watch_is_a_generator_that_can_be_left(serving: Serving) -> None:
    with serving.client() as client:
        client.create(config_map("a"))
        changes = client.watch(core.ConfigMap)
        first = next(changes)
        assert (first.type, first.object.metadata.name) == (EventType.ADDED, "a")
        client.create(config_map("b"))
        assert next(changes).object.metadata.name == "b"
        changes.close()
        assert client.wait(core.ConfigMap, "b", lambda one: one is not None, timeout_s=30) is not None


async def test_it_works_inside_a_running_loop(serving: Serving) -> None:
    with serving.client() as client:
        client.create(config_map("a"))
        made = await asyncio.to_thread(client.get, core.ConfigMap, "a")
        assert made.metadata.name == "a"


def test_several_threads_share_a_client(serving: Serving) -> None:
    with serving.client() as client:
        threads = [threading.Thread(target=client.create, args=(config_map(f"c{index}"),)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(client.list(core.ConfigMap).items) == 8


def test_closing_ends_the_thread_and_refuses_calls(serving: Serving) -> None:
    client = serving.client()
    changes = client.watch(core.ConfigMap)
    client.create(config_map("a"))
    next(changes)
    before = {thread for thread in threading.enumerate() if thread.name == "raftsman.sync"}
    client.close()
    client.close()
    assert len([thread for thread in before if thread.is_alive()]) == len(before) - 1
    with pytest.raises(RuntimeError, match="after it was closed"):
        client.get(core.ConfigMap, "a")
    with pytest.raises(RuntimeError, match="after it was closed"):
        next(changes)


def test_a_call_from_the_client_s_own_thread_is_refused_instead_of_waiting_for_itself() -> None:
    portal = Portal()

    async def inside() -> None:
        portal.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="callback"):
        portal.run(inside())
    portal.close()


def test_an_iterable_that_is_handed_in_is_read_in_a_worker() -> None:
    portal = Portal()
    assert [*portal.iterate(feed([1, 2, 3]))] == [1, 2, 3]
    portal.close()


def test_a_client_that_is_forgotten_ends_its_thread() -> None:
    portal = Portal()
    thread = portal._thread
    del portal
    thread.join(30)
    assert not thread.is_alive()
