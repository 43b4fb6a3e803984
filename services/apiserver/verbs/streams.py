"""Logs, Exec, Attach and PortForward: passed through to the agent of the pod's node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call

from . import agents, read
from .agents import Agents, Write

PORT_MAX = 65_535
# How ExecResponse.exit and PortForwardResponse.closed begin.
_EXIT, _CLOSED = b"\x1a", b"\x10"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Service:
    """What these verbs work with."""

    api: Api
    agents: Agents


async def logs(service: Service, call: Call, raw: bytes, write: Write) -> None:
    request = core.LogsRequest.FromString(raw)
    service.api.allow(call.user, "get", call.kind, namespace=request.namespace, name=request.name, subresource="log")
    pod = await _pod(service.api, call.kind, request.namespace, request.name)
    request.container = _container(pod, request.container)
    channel = agents.of_pod(service.api, service.agents, pod)
    stream = channel.unary_stream(f"{agents.SERVICE}/Logs")(request.SerializeToString())
    await agents.pass_on(stream, write)


async def exec_(service: Service, call: Call, first: bytes, requests: AsyncIterator[bytes], write: Write) -> None:
    await _terminal(service, call, first, requests, write, method="Exec")


async def attach(service: Service, call: Call, first: bytes, requests: AsyncIterator[bytes], write: Write) -> None:
    await _terminal(service, call, first, requests, write, method="Attach")


async def _terminal(
    service: Service, call: Call, first: bytes, requests: AsyncIterator[bytes], write: Write, *, method: str
) -> None:
    start = core.ExecRequest.FromString(first).start
    if not start.name:
        raise errors.BadRequest(f"the first message of an {method} stream says where, and for Exec what to run")
    channel = await terminal_channel(service, call, start, method=method)
    await terminal_through(channel, start, requests, write, method=method, linger=True)


async def terminal_channel(service: Service, call: Call, start: core.ExecStart, *, method: str) -> Any:
    """The channel to the pod's agent, if the caller may Exec or Attach there; settles the container."""
    verb = method.lower()
    service.api.allow(call.user, "create", call.kind, namespace=start.namespace, name=start.name, subresource=verb)
    if method == "Exec" and not start.command:
        raise errors.BadRequest("you must specify at least one command for the container")
    if method == "Attach" and start.command:
        raise errors.BadRequest("command: a container is attached to as it runs; use Exec to run something in it")
    pod = await _pod(service.api, call.kind, start.namespace, start.name)
    if pod.status.phase in _ENDED:
        raise errors.BadRequest(
            f"cannot {verb} {'into' if method == 'Exec' else 'to'} a container in a completed pod; "
            f"current phase is {pod.status.phase}"
        )
    start.container = _container(pod, start.container)
    await _admit(service, call, start.namespace, start.name, _options(start, method), part=verb)
    return agents.of_pod(service.api, service.agents, pod)


def _options(start: core.ExecStart, method: str) -> core.PodExecOptions | core.PodAttachOptions:
    """As Kubernetes' admission is told of it."""
    facts = {name: getattr(start, name) for name in ("stdin", "stdout", "stderr", "tty", "container")}
    if method == "Attach":
        return core.PodAttachOptions(**facts)
    return core.PodExecOptions(**facts, command=start.command)


async def _admit(service: Service, call: Call, namespace: str, name: str, options: Any, *, part: str) -> None:
    await chain.admit(
        service.api, call, Operation.CONNECT, namespace=namespace, name=name, new=options, subresource=part
    )


async def terminal_through(
    channel: Any,
    start: core.ExecStart,
    requests: AsyncIterator[bytes],
    write: Write,
    *,
    method: str,
    linger: bool = False,
) -> None:
    """Exec or Attach that was allowed: requests to the agent, its answers to `write`."""
    stream = channel.stream_stream(f"{agents.SERVICE}/{method}")()
    first = core.ExecRequest(start=start).SerializeToString()
    await agents.pass_through(stream, first, requests, write, last=_EXIT, linger=linger)


async def port_forward(
    service: Service, call: Call, first: bytes, requests: AsyncIterator[bytes], write: Write
) -> None:
    start = core.PortForwardRequest.FromString(first).start
    if not start.name:
        raise errors.BadRequest("the first message of a PortForward stream says which port of which pod")
    channel = await port_channel(service, call, start.namespace, start.name)
    check_port(start.port)
    stream = channel.stream_stream(f"{agents.SERVICE}/PortForward")()
    await agents.pass_through(stream, first, requests, write, last=_CLOSED, linger=True)


async def port_channel(service: Service, call: Call, namespace: str, name: str) -> Any:
    """The channel to the pod's agent, if the caller may use the pod's ports."""
    service.api.allow(call.user, "create", call.kind, namespace=namespace, name=name, subresource="portforward")
    pod = await _pod(service.api, call.kind, namespace, name)
    if pod.status.phase in _ENDED:
        raise errors.BadRequest(f"unable to forward ports because pod is not running; phase is {pod.status.phase}")
    await _admit(service, call, namespace, name, core.PodPortForwardOptions(), part="portforward")
    return agents.of_pod(service.api, service.agents, pod)


def check_port(port: int) -> None:
    if not 0 < port <= PORT_MAX:
        raise errors.BadRequest(f"port: {port} is not between 1 and {PORT_MAX}")


async def _pod(api: Api, kind: Kind, namespace: str, name: str) -> core.Pod:
    found = await read.fetch(api, kind, meta.GetRequest(namespace=namespace, name=name))
    pod: core.Pod = found.parsed()
    if not pod.spec.node_name:
        raise errors.BadRequest(f"pod {name} does not have a host assigned")
    return pod


def _container(pod: core.Pod, name: str) -> str:
    """The container meant. errors.BadRequest if there is none of that name, or several and no name."""
    names = [one.name for one in pod.spec.containers]
    ephemeral = [one.ephemeral_container_common.name for one in pod.spec.ephemeral_containers]
    every = [*(one.name for one in pod.spec.init_containers), *names, *ephemeral]
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
