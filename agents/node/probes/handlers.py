"""Carry out one handler (exec, HTTP, TCP, gRPC) of a probe or a lifecycle hook against a running container."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc
from raftsman.agents.node.runtime import Container, ExecTimeout, Runtime, RuntimeFault
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import http

OUTPUT_MAX = 10 * 1024
_INT = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    passed: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is asked."""

    container: Container
    spec: core.Container
    address: str
    """The pod's, or the node's for a pod on the host network."""


Handler = core.ProbeHandler | core.LifecycleHandler


async def carry_out(runtime: Runtime, target: Target, handler: Handler, *, timeout_s: float) -> Outcome:
    """The outcome of one handler; never raises but for cancellation."""
    try:
        if handler.HasField("exec"):
            return await _exec(runtime, target, handler.exec, timeout_s=timeout_s)
        if handler.HasField("http_get"):
            return await _http(target, handler.http_get, timeout_s=timeout_s)
        if handler.HasField("tcp_socket"):
            return await _tcp(target, handler.tcp_socket, timeout_s=timeout_s)
        if isinstance(handler, core.ProbeHandler) and handler.HasField("grpc"):
            return await _grpc(target, handler.grpc, timeout_s=timeout_s)
        if isinstance(handler, core.LifecycleHandler) and handler.HasField("sleep"):
            await asyncio.sleep(min(float(handler.sleep.seconds), timeout_s))
            return Outcome(True)
    except Exception as error:
        return Outcome(False, str(error) or type(error).__name__)
    return Outcome(False, "no handler is given")


async def _exec(runtime: Runtime, target: Target, action: core.ExecAction, *, timeout_s: float) -> Outcome:
    try:
        result = await runtime.containers.exec(
            target.container.id, tuple(action.command), timeout_s=timeout_s, output_max=OUTPUT_MAX
        )
    except ExecTimeout:
        return Outcome(False, f'command "{" ".join(action.command)}" timed out after {timeout_s:g}s')
    except RuntimeFault as fault:
        return Outcome(False, fault.message)
    text = result.output.decode(errors="replace").strip()
    return Outcome(result.code == 0, text if result.code == 0 else text or f"exit code {result.code}")


async def _http(target: Target, action: core.HTTPGetAction, *, timeout_s: float) -> Outcome:
    request = http.Request(
        host=action.host or target.address,
        port=port_of(target.spec, action.port),
        path=action.path or "/",
        scheme=action.scheme or "HTTP",
        headers=tuple((h.name, h.value) for h in action.http_headers),
    )
    try:
        status, _ = await http.get(request, timeout_s=timeout_s)
    except http.HttpFault as fault:
        return Outcome(False, str(fault))
    if 200 <= status < 400:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


async def _tcp(target: Target, action: core.TCPSocketAction, *, timeout_s: float) -> Outcome:
    host, port = action.host or target.address, port_of(target.spec, action.port)
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: timed out after {timeout_s:g} s")
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: {http.words_of(error)}")
    writer.transport.abort()
    return Outcome(True)


async def _grpc(target: Target, action: core.GRPCAction, *, timeout_s: float) -> Outcome:
    """The standard health service's Check, whose answer's field 1 is 1 for SERVING."""
    host = f"[{target.address}]" if ":" in target.address else target.address
    name = action.service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    async with grpc.aio.insecure_channel(f"{host}:{action.port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        try:
            answer: bytes = await check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return Outcome(False, f"service unhealthy: {error.code().name} {error.details()}")
    return Outcome(True) if answer[:2] == b"\x08\x01" else Outcome(False, "service unhealthy: not SERVING")


def port_of(spec: core.Container, port: meta.IntOrString) -> int:
    """A number, or the number of the container's port of that name; ValueError if it has none."""
    if port.type == _INT:
        return int(port.int_val)
    for candidate in spec.ports:
        if candidate.name == port.str_val:
            return int(candidate.container_port)
    if port.str_val.isdigit():
        return int(port.str_val)
    raise ValueError(f'container "{spec.name}" has no port named {port.str_val!r}')
