"""The way to node agents: mTLS, as the API server's kubelet client. One channel per node is kept, CHANNELS_MAX of them.

Bytes go through as they come; reading from one side waits for the other side to take what was read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.config import Config

CHANNELS_MAX = 256
AGENT_PORT = 10250
LINGER_S = 2.0
SERVICE = "/raftsman.agent.v1.NodeAgent"
_ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname")

# Not in grpc's type stubs.
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]

Write = Callable[[bytes], Awaitable[None]]


class Agents:
    """Channels to node agents by address."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._channels: OrderedDict[str, Any] = OrderedDict()
        self._credentials: grpc.ChannelCredentials | None = None

    def channel(self, address: str, node: str) -> Any:
        found = self._channels.get(address)
        if found is None:
            # The certificate names the node; its address may change.
            options = (
                ("grpc.ssl_target_name_override", node),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            )
            found = grpc.aio.secure_channel(address, self._client(), options=options)
            self._channels[address] = found
            if len(self._channels) > CHANNELS_MAX:
                _, oldest = self._channels.popitem(last=False)
                asyncio.get_running_loop().create_task(oldest.close())
        self._channels.move_to_end(address)
        return found

    def _client(self) -> grpc.ChannelCredentials:
        if self._credentials is None:
            config = self._config
            paths = (config.kubelet_certificate_authority, config.kubelet_client_key, config.kubelet_client_certificate)
            if not all(paths):
                raise errors.InternalError("this server has no client certificate for node agents")
            self._credentials = grpc.ssl_channel_credentials(*(Path(path).read_bytes() for path in paths))
        return self._credentials

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


def of_pod(api: Api, agents: Agents, pod: core.Pod) -> Any:
    """The channel to the agent of the pod's node."""
    if not pod.spec.node_name:
        raise errors.BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    return of_node(api, agents, pod.spec.node_name)


def of_node(api: Api, agents: Agents, name: str) -> Any:
    """The channel to a node's agent. errors.Unavailable if the node has no address yet."""
    kind = api.kinds["nodes"]
    found = api.cache(kind).get("", name)
    if found is None:
        raise failures.not_found(kind.resource, name)
    status = found.parsed().status
    port = status.daemon_endpoints.kubelet_endpoint.port or AGENT_PORT
    by_type = {one.type: one.address for one in reversed(status.addresses)}
    host = next((by_type[one] for one in _ADDRESS_TYPES if one in by_type), "")
    if not host:
        raise errors.Unavailable(f"node {found.name} has no address yet")
    return agents.channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", found.name)


async def pass_through(
    stream: Any, first: bytes, requests: AsyncIterator[bytes], write: Write, *, last: bytes, linger: bool = False
) -> None:
    """A duplex call: `first` and the requests to the agent, its answers to `write`, until the agent ends.

    A write that meets an ended call makes gRPC forget how that ended. So requests wait for the agent's first answer and
    stop with its last, which begins with `last`; with `linger` the caller too gets LINGER_S to stop.
    """
    passing = _Passing(stream, last)
    forwarding = asyncio.create_task(passing.forward(first, requests))

    async def answered(piece: bytes) -> None:
        await write(piece)
        await passing.answered(piece)

    try:
        await pass_on(stream, answered)
        if linger:
            await asyncio.wait({forwarding}, timeout=LINGER_S)
    finally:
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)


class _Passing:
    """The requests' way to the agent."""

    def __init__(self, stream: Any, last: bytes) -> None:
        self._stream, self._last = stream, last
        self._begun = asyncio.Event()
        self._over = False
        self._sending = asyncio.Lock()

    async def forward(self, first: bytes, requests: AsyncIterator[bytes]) -> None:
        await self._send(first)
        await self._begun.wait()
        async for one in requests:
            await self._send(one)
        await self._finish()

    async def answered(self, piece: bytes) -> None:
        self._begun.set()
        if piece[:1] == self._last:
            await self._finish()

    async def _send(self, one: bytes) -> None:
        async with self._sending:
            if not self._over:
                await self._stream.write(one)

    async def _finish(self) -> None:
        async with self._sending:
            if not self._over:
                self._over = True
                await self._stream.done_writing()


async def pass_on(stream: Any, write: Write) -> None:
    """From the agent to the caller, until the agent ends; its errors are the caller's."""
    try:
        while (one := await stream.read()) is not EOF:
            await write(one)
    except grpc.aio.AioRpcError as error:
        raise told(error) from None
    finally:
        stream.cancel()


def told(error: grpc.aio.AioRpcError) -> errors.ApiError:
    """What the caller is told of a call that failed: the agent's own words, or that it does not answer."""
    trailing: Any = error.trailing_metadata() or ()
    own = any(key == errors.DETAILS_KEY for key, _ in trailing)
    if error.code() is grpc.StatusCode.UNAVAILABLE and not own:
        return errors.Unavailable(f"the node's agent does not answer: {error.details()}")
    return errors.from_rpc(error)
