"""The TLS port: what it refuses, what it bounds, how much goes through."""

from __future__ import annotations

import asyncio
import socket
import ssl

import grpc
import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver.storage.store import Store

from .cluster import Api, ApiServerProcess, StoreProcess
from .test_lifecycle import a_config


def tls(server: ApiServerProcess, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.authority.ca)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_old_tls_is_refused(server: ApiServerProcess) -> None:
    context = tls(server, "h2")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", server.port, ssl=context)


async def test_a_connection_without_a_handshake_holds_nobody_up(server: ApiServerProcess, api: Api) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    try:
        await asyncio.wait_for(api.list(core.Namespace), 5)
    finally:
        for one in idle:
            one.close()


async def test_megabytes_go_both_ways(api: Api, namespace: str) -> None:
    for number in range(8):
        config = a_config(namespace, f"c{number}")
        config.data["big"] = chr(ord("a") + number) * 1_000_000
        await api.create(config)
    got = await asyncio.gather(*(api.get(core.ConfigMap, f"c{number}", namespace) for number in range(8)))
    assert [len(one.data["big"]) for one in got] == [1_000_000] * 8
    request = {"namespace": namespace, "send_initial_events": True}
    seen = 0
    async for _, found in api.watch(core.ConfigMap, **request):
        seen += len(found.data["big"]) == 1_000_000
        if seen == 8:
            break
    assert seen == 8


async def test_two_hundred_watchers_each_hear_of_a_change(server: ApiServerProcess, api: Api, namespace: str) -> None:
    since = (await api.list(core.ConfigMap, namespace=namespace)).metadata.resource_version

    async def first() -> str:
        async for _, found in api.watch(core.ConfigMap, namespace=namespace, resource_version=since):
            return found.metadata.name
        return ""

    watching = [asyncio.create_task(first()) for _ in range(200)]
    await asyncio.sleep(0.5)
    await api.create(a_config(namespace, "news"))
    assert set(await asyncio.wait_for(asyncio.gather(*watching), 10)) == {"news"}


async def test_an_event_still_expires_after_it_was_updated(api: Api, store: StoreProcess, namespace: str) -> None:
    event = core.Event(reason="Tested", message="once", type="Normal", count=1)
    event.metadata.namespace, event.metadata.name = namespace, "e"
    event.involved_object.namespace = namespace
    made = await api.create(event)
    made.count = 2
    await api.update(made)
    client = Store.connect([store.url])
    try:
        pair = await client.get(f"/registry/events/{namespace}/e".encode())
        assert pair is not None
        assert pair.lease
    finally:
        await client.close()


async def test_bytes_that_are_no_request_are_the_callers_mistake(api: Api) -> None:
    method = api._channel.unary_unary("/raftsman.core.v1.Pods/Get")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"\xff\xff\xff\xff\x01", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_name_too_long_for_an_answer_is_still_not_found(api: Api) -> None:
    with pytest.raises(errors.NotFound):
        await api.get(core.ConfigMap, "x" * 10_000)
