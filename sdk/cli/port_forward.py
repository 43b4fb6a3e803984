"""`port-forward`: ports of this machine that lead into a pod."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import click
from raftsman import errors
from raftsman.client.ports import PodConnection
from raftsman.core import v1 as core

from . import failure, pods, targets
from .session import Session
from .verb import Duration, Failure, verb

CHUNK_BYTES = 64 * 1024
CONNECTIONS_MAX = 200
PORT_MAX = 65_535
_LOCAL = {"localhost": ("127.0.0.1", "::1")}


@dataclass(frozen=True, slots=True)
class Forward:
    """`local` 0: any free port."""

    local: int
    remote: int


@verb("port-forward")
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME [LOCAL:]REMOTE…")
@click.option(
    "--address", "addresses", default="localhost", show_default=True, help="Listen on these, comma-separated."
)
@click.option("--pod-running-timeout", "wait_s", type=Duration(), default=60.0, help="Wait so long for a running pod.")
async def port_forward(session: Session, words: tuple[str, ...], addresses: str, wait_s: float) -> int | None:
    """Forward local ports to a pod: `port-forward web-1 8080:80`, `port-forward svc/web :http`. Ends with Ctrl-C."""
    if len(words) < 2:
        raise Failure("TYPE/NAME and list of ports are required for port-forward")
    target = targets.one(words[:1], session.namespace, default="pod")
    pod, _ = await pods.of_target(session, target)
    service = None
    if target.resource.message is core.Service:
        service = await session.client.get(core.Service, target.name, namespace=target.namespace)
    forwards = [parsed(word, pod, service) for word in words[1:]]
    await _running(session, pod, wait_s)
    forwarder = _Forwarder(session, pod)
    async with contextlib.AsyncExitStack() as stack:
        for forward in forwards:
            await forwarder.listen(stack, forward, addresses.split(","))
        await asyncio.Event().wait()
    return None


def parsed(word: str, pod: core.Pod, service: core.Service | None) -> Forward:
    """`8080:80`, `80`, `:80`; names of ports, and a service's ports, are looked up."""
    local, colon, remote = word.rpartition(":")
    port = _remote(remote, pod, service)
    if not colon:
        return Forward(_number(remote, word) if remote.isdigit() else port, port)
    return Forward(_number(local, word) if local else 0, port)


def _remote(text: str, pod: core.Pod, service: core.Service | None) -> int:
    if service is not None:
        return _of_service(text, pod, service)
    return _number(text, text) if text.isdigit() else _named(text, pod)


def _of_service(text: str, pod: core.Pod, service: core.Service) -> int:
    for port in service.spec.ports:
        if text in (str(port.port), port.name):
            goal = port.target_port
            if service.spec.cluster_ip == "None" and not goal.str_val and not goal.int_val:
                return port.port
            return _named(goal.str_val, pod) if goal.str_val else goal.int_val or port.port
    raise Failure(f"Service {service.metadata.name} does not have a service port {text}")


def _named(name: str, pod: core.Pod) -> int:
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        for port in container.ports:
            if port.name == name:
                return port.container_port
    raise Failure(f"Pod '{pod.metadata.name}' does not have a named port '{name}'")


def _number(text: str, word: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= PORT_MAX:
        raise Failure(f'"{word}" is not [LOCAL_PORT:]REMOTE_PORT with ports between 1 and {PORT_MAX}')
    return int(text)


async def _running(session: Session, pod: core.Pod, wait_s: float) -> None:
    def over(found: core.Pod | None) -> bool:
        return found is None or found.status.phase not in ("", "Pending")

    found = await session.client.wait(
        core.Pod, pod.metadata.name, over, namespace=pod.metadata.namespace, timeout_s=wait_s
    )
    if found is None or found.status.phase != "Running":
        phase = "gone" if found is None else found.status.phase
        raise Failure(f"unable to forward port because pod is not running. Current status={phase}")


class _Forwarder:
    """Connections of all ports."""

    def __init__(self, session: Session, pod: core.Pod) -> None:
        self._session, self._pod = session, pod
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)

    async def listen(self, stack: contextlib.AsyncExitStack, forward: Forward, addresses: Sequence[str]) -> None:
        hosts = [host for address in addresses for host in _LOCAL.get(address, (address,))]
        local, listening = forward.local, 0
        for host in hosts:
            try:
                server = await asyncio.start_server(functools.partial(self._serve, forward.remote), host, local)
            except OSError as refused:
                # A machine may have no IPv6.
                if host != "::1":
                    self._session.note(f"Unable to listen on port {local}: {refused}")
                continue
            listening += 1
            stack.callback(server.close)
            local = server.sockets[0].getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            self._session.say(f"Forwarding from {shown}:{local} -> {forward.remote}")
        if not listening:
            raise Failure(f"unable to listen on any of the requested ports: {forward.local} {forward.remote}")

    async def _serve(self, remote: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = writer.get_extra_info("sockname")[1]
        self._session.say(f"Handling connection for {local}")
        metadata = self._pod.metadata
        try:
            async with (
                self._slots,
                self._session.client.port_forward(metadata.name, remote, namespace=metadata.namespace) as connection,
            ):
                await _both_ways(reader, writer, connection)
        except errors.ApiError as error:
            self._session.note(f"an error occurred forwarding {local} -> {remote}: {failure.text(error)}")
        except ConnectionError:
            return
        finally:
            writer.close()


async def _both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: PodConnection) -> None:
    """Until the pod's side ends."""

    async def sending() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                await connection.send(data)
        await connection.finish()

    forward = asyncio.create_task(sending())
    try:
        while data := await connection.receive():
            writer.write(data)
            await writer.drain()
    finally:
        forward.cancel()
        await asyncio.gather(forward, return_exceptions=True)
