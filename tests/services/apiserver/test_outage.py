"""The store goes away and comes back; the server says so, and recovers by itself."""

from __future__ import annotations

import asyncio
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver.storage.stream import QUIET_S

from .certificates import Authority
from .cluster import Api, ApiServerProcess, StoreProcess
from .rest import Rest
from .test_lifecycle import a_config

RECOVER_S = 10.0
CONFIGS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[StoreProcess]:
    process = StoreProcess(tmp_path)
    yield process
    process.stop()


@pytest.fixture
def own_server(tmp_path: Path, own_store: StoreProcess) -> Iterator[ApiServerProcess]:
    process = ApiServerProcess(tmp_path, own_store, Authority(tmp_path))
    yield process
    process.stop()


def http(server: ApiServerProcess, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.health_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def recovered(api: Api) -> None:
    deadline = time.monotonic() + RECOVER_S
    while True:
        try:
            await api.list(core.Namespace)
        except (errors.Unavailable, errors.Timeout):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            return


async def test_an_outage_is_told_at_once_and_a_watch_lives_through_it(
    own_store: StoreProcess, own_server: ApiServerProcess
) -> None:
    async with own_server.client() as api:
        made = await api.create(a_config("default", "a"))
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def follow() -> None:
            since = made.metadata.resource_version
            async for _, found in api.watch(core.ConfigMap, namespace="default", resource_version=since):
                await seen.put(found.metadata.name)

        following = asyncio.create_task(follow())
        await api.create(a_config("default", "b"))
        assert await asyncio.wait_for(seen.get(), 5) == "b"
        own_store.stop()
        started = time.monotonic()
        with pytest.raises(errors.Unavailable, match="the store does not answer"):
            await api.create(a_config("default", "c"))
        with pytest.raises(errors.Unavailable):
            await api.get(core.ConfigMap, "a")
        assert time.monotonic() - started < 2
        # What the server has is still handed out to who asks for no more.
        assert (await api.get(core.ConfigMap, "a", resource_version="0")).metadata.name == "a"
        assert await asyncio.to_thread(http, own_server, "/readyz") == (503, ANY)
        own_store.start()
        await recovered(api)
        await api.create(a_config("default", "d"))
        assert await asyncio.wait_for(seen.get(), 5) == "d"
        following.cancel()


async def test_a_store_that_hangs_is_told_of_and_what_is_known_is_read(
    own_store: StoreProcess, own_server: ApiServerProcess
) -> None:
    async with own_server.client() as api:
        await api.create(a_config("default", "a"))
        # Its cache has it, too.
        await api.get(core.ConfigMap, "a")
        own_store.signal(signal.SIGSTOP)
        try:
            with pytest.raises(errors.Unavailable, match="the store does not answer"):
                await api.create(a_config("default", "b"))
            # From now on nobody waits for long.
            started = time.monotonic()
            tried = (api.create(a_config("default", f"c{number}")) for number in range(20))
            for outcome in await asyncio.gather(*tried, return_exceptions=True):
                assert isinstance(outcome, errors.Unavailable)
                assert "hangs, or has no majority" in outcome.message
            assert time.monotonic() - started < QUIET_S
            rest = Rest(own_server)
            status, told = await asyncio.to_thread(rest.json, "POST", CONFIGS, {"metadata": {"name": "f"}})
            assert (status, told["reason"]) == (503, "ServiceUnavailable")
            # What the server knows is read meanwhile, by whoever asks for no more.
            assert (await api.get(core.ConfigMap, "a", resource_version="0")).metadata.name == "a"
            assert len((await api.list(core.ConfigMap, namespace="default", resource_version="0")).items) == 1
            status, found = await asyncio.to_thread(rest.json, "GET", f"{CONFIGS}/a", resourceVersion="0")
            assert (status, found["metadata"]["name"]) == (200, "a")
            rest.close()
        finally:
            own_store.signal(signal.SIGCONT)
        # Whether a write whose answer was lost happened is not known; the server goes on by itself.
        await recovered(api)
        await api.create(a_config("default", "z"))


async def test_a_store_that_lost_everything_is_listed_and_filled_anew(
    own_store: StoreProcess, own_server: ApiServerProcess, tmp_path: Path
) -> None:
    async with own_server.client() as api:
        for number in range(5):
            made = await api.create(a_config("default", f"c{number}"))

        async def follow() -> None:
            async for _ in api.watch(core.ConfigMap, resource_version=made.metadata.resource_version):
                pass

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.2)
        own_store.stop()
        (tmp_path / "store").rename(tmp_path / "old-store")
        own_store.start()
        with pytest.raises(errors.Expired):
            await asyncio.wait_for(following, RECOVER_S)
        await recovered(api)
        assert not (await api.list(core.ConfigMap)).items
        deadline = time.monotonic() + RECOVER_S
        while len((await api.list(core.Namespace)).items) < 4:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        await api.create(a_config("default", "again"))


async def test_a_restarted_server_serves_what_was_written(
    own_store: StoreProcess, own_server: ApiServerProcess, tmp_path: Path
) -> None:
    async with own_server.client() as api:
        made = await api.create(a_config("default", "a"))
        service = await api.get(core.Service, "kubernetes")
    own_server.stop()
    assert own_server.process.returncode == 0
    again = ApiServerProcess(tmp_path, own_store, own_server.authority)
    try:
        async with again.client() as api:
            assert await api.get(core.ConfigMap, "a") == made
            assert (await api.get(core.Service, "kubernetes")).spec.cluster_ip == service.spec.cluster_ip
    finally:
        again.stop()


async def test_a_stopping_server_ends_its_watches_with_a_word(own_server: ApiServerProcess) -> None:
    async with own_server.client() as api:
        made = await api.create(a_config("default", "a"))

        async def follow() -> None:
            async for _ in api.watch(core.ConfigMap, resource_version=made.metadata.resource_version):
                pass

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.3)
        started = time.monotonic()
        await asyncio.to_thread(own_server.stop)
        with pytest.raises(errors.Unavailable, match="shutting down"):
            await following
        assert time.monotonic() - started < 5
        assert own_server.process.returncode == 0


async def test_secrets_are_not_in_the_store_in_the_clear(
    own_store: StoreProcess, own_server: ApiServerProcess, tmp_path: Path
) -> None:
    word = b"correct-horse-battery-staple"
    async with own_server.client() as api:
        secret = core.Secret(string_data={"password": word.decode()})
        secret.metadata.name, secret.metadata.namespace = "s", "default"
        made = await api.create(secret)
        assert made.data["password"] == word
        config = a_config("default", "visible")
        config.data["w"] = "plain-marker"
        await api.create(config)
    own_store.stop()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"plain-marker" in stored
    assert word not in stored
    assert word.decode() not in own_server.log.read_text()


async def test_metrics_count_requests(own_server: ApiServerProcess) -> None:
    async with own_server.client() as api:
        await api.list(core.Pod)
        with pytest.raises(errors.NotFound):
            await api.get(core.Pod, "none")
    _, text = await asyncio.to_thread(http, own_server, "/metrics")
    what = 'component="apiserver-grpc",group="",resource="pods",scope="namespace",subresource=""'
    assert f'apiserver_request_total{{code="200",{what},verb="LIST",version="v1"}} 1.0' in text
    assert f'apiserver_request_total{{code="404",{what},verb="GET",version="v1"}} 1.0' in text


async def test_an_address_in_use_is_told_at_start(
    own_store: StoreProcess, own_server: ApiServerProcess, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="address already in use"):
        await asyncio.to_thread(ApiServerProcess, tmp_path, own_store, own_server.authority, port=own_server.port)
