"""exec, attach and port-forward over WebSocket and SPDY, with clients that behave and clients that do not."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable

import pytest
from raftsman.services.apiserver.rest import spdy

from .cluster import ApiServerProcess
from .test_streams import Agent, agent
from .upgraded import Refused, Spdy, WebSocket, upgraded

__all__ = ["agent"]

BOUND_BYTES = 64 << 20
SOON_S = 30.0


def of_pod(namespace: str, part: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/web/{part}"


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", ""])
async def test_a_command_over_a_websocket(
    server: ApiServerProcess, agent: Agent, namespace: str, protocol: str
) -> None:
    socket = await WebSocket.open(
        server, of_pod(namespace, "exec"), protocol, command=["a", "b"], stdin=1, stdout=1, stderr=1
    )
    await socket.send(b"\x00input")
    await socket.send(b'\x04{"Width":80,"Height":24}')
    found = {1: b"", 2: b"", 3: b""}
    async for message in socket.messages():
        found[message[0]] += message[1:]
        if found[2] and not found[3] and protocol.startswith("v5"):
            await socket.send(b"\xff\x00")
        elif found[2]:
            break
    assert (found[1], found[2]) == (b"a binput", b"80x24")
    if protocol.startswith("v5"):
        causes = json.loads(found[3])["details"]["causes"]
        assert causes == [{"reason": "ExitCode", "message": "7"}]
    socket.wire.vanish()
    await soon(lambda: agent.open == 0)


async def test_the_base64_protocol_carries_text(server: ApiServerProcess, agent: Agent, namespace: str) -> None:
    socket = await WebSocket.open(
        server, of_pod(namespace, "exec"), "v4.base64.channel.k8s.io", command="a", stdin=1, stdout=1
    )
    await socket.send("0" + base64.b64encode(b"\xff\x00").decode())
    await socket.send("0not base64!")
    got = b""
    async for message in socket.messages():
        assert message[:1] == b"1"
        got += base64.b64decode(message[1:])
        if got == b"a\xff\x00":
            break
    socket.wire.vanish()


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io"])
@pytest.mark.parametrize("part", ["exec", "attach"])
async def test_a_command_over_spdy(
    server: ApiServerProcess, agent: Agent, namespace: str, protocol: str, part: str
) -> None:
    query = {"command": "a"} if part == "exec" else {}
    client = await Spdy.open(server, of_pod(namespace, part), protocol, stdin=1, stdout=1, stderr=1, **query)
    error, stdin, stdout, stderr = [
        await client.stream(streamType=kind) for kind in ("error", "stdin", "stdout", "stderr")
    ]
    await client.send(spdy.Data(stdin, b"input", fin=True))
    await client.until_ended(error, stdout, stderr)
    assert client.data[stdout] == (b"ainput" if part == "exec" else b"input")
    if protocol.startswith("v4"):
        assert json.loads(client.data[error])["reason"] == "NonZeroExitCode"
    else:
        assert client.data[error] == b"command terminated with non-zero exit code: exit status 7"


async def test_what_forbids_it_is_answered_before_the_upgrade(
    server: ApiServerProcess, agent: Agent, namespace: str
) -> None:
    for part, query, why in (
        ("exec", {"stdout": 1}, "at least one command"),
        ("exec", {"command": "x"}, "at least 1 of stdin, stdout, stderr"),
        ("attach", {"container": "nope"}, "container nope is not valid"),
    ):
        with pytest.raises(Refused, match=why):
            await Spdy.open(server, of_pod(namespace, part), "v4.channel.k8s.io", **query)
    with pytest.raises(Refused, match="none of the protocols"):
        await Spdy.open(server, of_pod(namespace, "exec"), "v9", command="a", stdout=1)
    with pytest.raises(Refused, match="none of the WebSocket protocols"):
        await WebSocket.open(server, of_pod(namespace, "exec"), "v9", command="a", stdout=1)
    with pytest.raises(Refused, match="Upgrade request required"):
        await upgraded(server, of_pod(namespace, "portforward"), headers={"Upgrade": "h2c"})
    with pytest.raises(Refused, match="is no number between 1 and 65535"):
        await WebSocket.open(server, of_pod(namespace, "portforward"), "v4.channel.k8s.io", ports="http")


async def test_a_client_that_vanishes_ends_its_command(server: ApiServerProcess, agent: Agent, namespace: str) -> None:
    socket = await WebSocket.open(
        server, of_pod(namespace, "exec"), "v5.channel.k8s.io", command="wait", stdin=1, stdout=1
    )
    client = await Spdy.open(server, of_pod(namespace, "exec"), "v4.channel.k8s.io", command="wait", stdout=1)
    await client.stream(streamType="error")
    await client.stream(streamType="stdout")
    await soon(lambda: agent.open == 2)
    socket.wire.vanish()
    client._wire.vanish()  # type: ignore[union-attr]
    await soon(lambda: agent.open == 0)


async def test_garbage_ends_only_who_sent_it(server: ApiServerProcess, agent: Agent, namespace: str) -> None:
    socket = await WebSocket.open(
        server, of_pod(namespace, "exec"), "v5.channel.k8s.io", command="wait", stdin=1, stdout=1
    )
    other = await Spdy.open(server, of_pod(namespace, "exec"), "v4.channel.k8s.io", command="wait", stdout=1)
    third = await WebSocket.open(
        server, of_pod(namespace, "exec"), "v4.channel.k8s.io", command="wait", stdin=1, stdout=1
    )
    await soon(lambda: agent.open == 2)
    socket.wire.writer.write(b"\xff" * 100)
    other._wire.writer.write(b"\xff" * 100)  # type: ignore[union-attr]
    await soon(lambda: agent.open == 1)
    assert await other._wire.receive() is not None  # type: ignore[union-attr]
    third.wire.vanish()
    await soon(lambda: agent.open == 0)


async def test_a_client_that_never_reads_stops_what_it_asked_for(
    server: ApiServerProcess, agent: Agent, namespace: str
) -> None:
    socket = await WebSocket.open(server, of_pod(namespace, "exec"), "v5.channel.k8s.io", command="flood", stdout=1)
    before = -1
    while agent.flooded != before:
        before = agent.flooded
        await asyncio.sleep(0.5)
    assert 0 < agent.flooded < BOUND_BYTES
    socket.wire.vanish()
    await soon(lambda: agent.open == 0)


@pytest.mark.parametrize("tunnelled", [False, True])
async def test_connections_to_ports_over_spdy(
    server: ApiServerProcess, agent: Agent, namespace: str, tunnelled: bool
) -> None:
    path = of_pod(namespace, "portforward")
    if tunnelled:
        client = Spdy(await WebSocket.open(server, path, "SPDY/3.1+portforward.k8s.io"))
    else:
        client = await Spdy.open(server, path, "portforward.k8s.io")
    pairs = []
    for number, port in enumerate((80, 81, 80)):
        pair = [
            await client.stream(streamType=kind, port=str(port), requestID=str(number)) for kind in ("error", "data")
        ]
        await client.send(spdy.Data(pair[0], fin=True))
        pairs.append(pair)
    for number in (0, 2):
        await client.send(spdy.Data(pairs[number][1], bytes([number]) * 100_000, fin=True))
    await client.until_ended(*pairs[0], *pairs[1], *pairs[2])
    assert client.data[pairs[0][1]] == bytes(100_000)
    assert client.data[pairs[2][1]] == bytes([2]) * 100_000
    assert b"failed to connect to localhost:81" in client.data[pairs[1][0]]
    assert client.data[pairs[0][0]] == b""


async def test_a_connection_that_the_client_resets_ends_at_the_node(
    server: ApiServerProcess, agent: Agent, namespace: str
) -> None:
    client = await Spdy.open(server, of_pod(namespace, "portforward"), "portforward.k8s.io")
    for kind in ("error", "data"):
        number = await client.stream(streamType=kind, port="80", requestID="1")
    await soon(lambda: agent.open == 1)
    await client.send(spdy.Reset(number, spdy.CANCEL))
    await soon(lambda: agent.open == 0)


async def test_ports_over_channels(server: ApiServerProcess, agent: Agent, namespace: str) -> None:
    socket = await WebSocket.open(server, of_pod(namespace, "portforward"), "v4.channel.k8s.io", ports="80,81")
    await socket.send(b"\x00hello")
    found = {channel: b"" for channel in range(4)}
    async for message in socket.messages():
        found[message[0]] += message[1:]
        if found[0].endswith(b"hello") and len(found[3]) > 2:
            break
    assert found[0] == b"\x50\x00hello"
    assert (found[1], found[2]) == (b"\x50\x00", b"\x51\x00")
    assert found[3].startswith(b"\x51\x00failed to connect")
    socket.wire.vanish()
    await soon(lambda: agent.open == 0)
