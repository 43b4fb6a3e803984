"""The proxy as it runs: from informer events to connections."""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest
from raftsman.agents import nft
from raftsman.agents.proxy import AnotherCluster, Proxy, ProxyConfig, cleanup

from .api import CLIENT, Script, endpoint_slice, service
from .conftest import NODE, POD_CIDR, SERVICE_CIDR, Namespace, World

TABLE = "raftsman_proxy_0a1b2c3d"
CONFIG = ProxyConfig("here", (NODE,), POD_CIDR, SERVICE_CIDR, instance="0a1b2c3d")


class Running:
    """A proxy on an event loop of its own, on a thread inside the node's namespace."""

    def __init__(self, node: Namespace) -> None:
        self.script: Script
        self.proxy: Proxy
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None]
        started = threading.Event()

        async def main() -> None:
            self.script, self.proxy = Script(), Proxy(CONFIG)
            self._task = asyncio.create_task(self.proxy.run(CLIENT, informers=self.script.informers))
            started.set()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

        def serve() -> None:
            self._loop.run_until_complete(main())

        self._thread = threading.Thread(target=lambda: node.call(serve))
        self._thread.start()
        started.wait()

    def do(self, change: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(change)

    def ready(self) -> bool:
        with contextlib.suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self.proxy.ready(), self._loop).result()
            return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()


@pytest.fixture(autouse=True)
def clean(world: World) -> Iterator[None]:
    yield
    world.node.call(lambda: cleanup("0a1b2c3d"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def answers_from(world: World, address: str, expected: Namespace) -> Callable[[], bool]:
    def check() -> bool:
        with contextlib.suppress(OSError):
            return world.pods[0].ask(address, 80).split()[0] == expected.name
        return False

    return check


def test_services_follow_the_api_once_everything_is_known(world: World) -> None:
    first, second = world.pods[1], world.pods[2]
    with Running(world.node) as running:
        running.do(lambda: running.script.services.put(service("web", "10.96.3.1")))
        running.do(lambda: running.script.slices.put(endpoint_slice("web", first.address)))
        time.sleep(0.05)
        assert TABLE not in world.node.call(lambda: nft.Nft().run("list tables"))
        running.do(running.script.sync)
        until(answers_from(world, "10.96.3.1", first))
        assert running.ready()
        running.do(lambda: running.script.slices.put(endpoint_slice("web", second.address)))
        until(answers_from(world, "10.96.3.1", second))
        running.do(lambda: running.script.services.delete("web"))
        until(lambda: "10.96.3.1" not in world.node.call(lambda: nft.Nft().run(f"list table inet {TABLE}")))


def test_the_rules_outlive_the_proxy_and_are_taken_over(world: World) -> None:
    check = answers_from(world, "10.96.3.3", world.pods[1])
    for turn in range(2):
        with Running(world.node) as running:
            running.do(functools.partial(running.script.services.put, service("web", "10.96.3.3")))
            running.do(functools.partial(running.script.slices.put, endpoint_slice("web", world.pods[1].address)))
            assert check() == (turn == 1)
            running.do(running.script.sync)
            until(running.ready)
            assert check()
        assert check()


def test_a_failure_of_the_kernel_is_retried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True, True])
    real = nft.Nft.run

    def flaky(self: nft.Nft, commands: str) -> str:
        if commands.startswith("add table") and next(failures, False):
            raise nft.NftError("no memory", commands)
        return real(self, commands)

    monkeypatch.setattr(nft.Nft, "run", flaky)
    monkeypatch.setattr("raftsman.agents.proxy.proxy.RETRY_MIN_S", 0.01)
    with Running(world.node) as running:
        running.do(lambda: running.script.services.put(service("web", "10.96.3.2")))
        running.do(lambda: running.script.slices.put(endpoint_slice("web", world.pods[1].address)))
        running.do(running.script.sync)
        until(answers_from(world, "10.96.3.2", world.pods[1]))


def test_rules_that_somebody_flushed_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftsman.agents.proxy.proxy.PRESENCE_INTERVAL_S", 0.05)
    with Running(world.node) as running:
        running.do(lambda: running.script.services.put(service("web", "10.96.3.4")))
        running.do(lambda: running.script.slices.put(endpoint_slice("web", world.pods[1].address)))
        running.do(running.script.sync)
        until(answers_from(world, "10.96.3.4", world.pods[1]))
        world.node.call(lambda: nft.Nft().run("flush ruleset"))
        until(answers_from(world, "10.96.3.4", world.pods[1]))


async def test_another_cluster_s_table_stops_the_start(world: World) -> None:
    world.node.call(lambda: nft.Nft().run("add table inet raftsman_proxy_ffffffff"))
    proxy = Proxy(CONFIG)
    with pytest.raises(AnotherCluster):
        await asyncio.to_thread(
            lambda: world.node.call(lambda: asyncio.run(proxy.run(CLIENT, informers=Script().informers)))
        )
    world.node.call(lambda: cleanup("ffffffff"))
