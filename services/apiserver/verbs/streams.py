"""Logs and Exec: passed through to the agent of the pod's node (mTLS, as the API server's kubelet client).

Bytes go through as they come; reading from one side waits for the other side to take what was read. One channel per
node is kept, CHANNELS_MAX of them.
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
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.config import Config
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call

from . import read

CHANNELS_MAX = 256
AGENT_PORT = 10250
_SERVICE = "/raftsman.agent.v1.NodeAgent"
_ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname")

# Not in grpc's type stubs.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]

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
            options = (("grpc.ssl_target_name_override", node), ("grpc.max_reconnect_backoff_ms", 1000))
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


async def logs(api: Api, agents: Agents, call: Call, raw: bytes, write: Write) -> None:
    request = core.LogsRequest.FromString(raw)
    api.allow(call.user, "get", call.kind, namespace=request.namespace, name=request.name, subresource="log")
    pod = await _pod(api, call.kind, request.namespace, request.name)
    request.container = _container(pod, request.container)
    channel = _agent(api, agents, pod)
    stream = channel.unary_stream(f"{_SERVICE}/Logs")(request.SerializeToString())
    await _pass_on(stream, write)


async def exec_(
    api: Api, agents: Agents, call: Call, first: bytes, requests: AsyncIterator[bytes], write: Write
) -> None:
    start = core.ExecRequest.FromString(first).start
    await exec_through(await exec_channel(api, agents, call, start), start, requests, write)


async def exec_channel(api: Api, agents: Agents, call: Call, start: core.ExecStart) -> Any:
    """The channel to the pod's agent, if the caller may run that there; settles the container."""
    if not start.name:
        raise errors.BadRequest("the first message of an Exec stream says what to run and where")
    api.allow(call.user, "create", call.kind, namespace=start.namespace, name=start.name, subresource="exec")
    if not start.command:
        raise errors.BadRequest("you must specify at least one command for the container")
    pod = await _pod(api, call.kind, start.namespace, start.name)
    if pod.status.phase in ("Succeeded", "Failed"):
        raise errors.BadRequest(f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}")
    start.container = _container(pod, start.container)
    return _agent(api, agents, pod)


async def exec_through(channel: Any, start: core.ExecStart, requests: AsyncIterator[bytes], write: Write) -> None:
    """Run a command that was allowed: requests to the agent, its answers to `write`."""
    stream = channel.stream_stream(f"{_SERVICE}/Exec")()

    async def forward() -> None:
        await stream.write(core.ExecRequest(start=start).SerializeToString())
        async for one in requests:
            await stream.write(one)
        await stream.done_writing()

    forwarding = asyncio.create_task(forward())
    try:
        await _pass_on(stream, write)
    finally:
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)


async def _pass_on(stream: Any, write: Write) -> None:
    """From the agent to the caller, until the agent ends; its errors are the caller's."""
    try:
        while (one := await stream.read()) is not _EOF:
            await write(one)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise errors.Unavailable(f"the node's agent does not answer: {error.details()}") from None
        raise errors.from_rpc(error) from None
    finally:
        stream.cancel()


async def _pod(api: Api, kind: Kind, namespace: str, name: str) -> core.Pod:
    found = await read.fetch(api, kind, meta.GetRequest(namespace=namespace, name=name))
    pod: core.Pod = found.parsed()
    if not pod.spec.node_name:
        raise errors.BadRequest(f"pod {name} does not have a host assigned")
    return pod


def _container(pod: core.Pod, name: str) -> str:
    """The container meant. errors.BadRequest if there is none of that name, or several and no name."""
    names = [one.name for one in pod.spec.containers]
    every = [*(one.name for one in pod.spec.init_containers), *names]
    if name:
        if name not in every:
            raise errors.BadRequest(f"container {name} is not valid for pod {pod.metadata.name}")
        return name
    default = pod.metadata.annotations.get("kubectl.kubernetes.io/default-container", "")
    if default in names:
        return default
    if len(names) == 1:
        return names[0]
    raise errors.BadRequest(
        f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{' '.join(every)}]"
    )


def _agent(api: Api, agents: Agents, pod: core.Pod) -> Any:
    kind = api.kinds["nodes"]
    found = api.cache(kind).get("", pod.spec.node_name)
    if found is None:
        raise failures.not_found(kind.resource, pod.spec.node_name)
    status = found.parsed().status
    port = status.daemon_endpoints.kubelet_endpoint.port or AGENT_PORT
    by_type = {one.type: one.address for one in reversed(status.addresses)}
    host = next((by_type[one] for one in _ADDRESS_TYPES if one in by_type), "")
    if not host:
        raise errors.Unavailable(f"node {found.name} has no address yet")
    return agents.channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", found.name)
