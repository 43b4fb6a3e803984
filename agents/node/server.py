"""Logs, exec, attach and pods' ports for the API server, over mutual TLS. Nobody else may ask.

The peer's certificate is signed by the cluster's CA and names kube-apiserver-kubelet-client, or a member of
system:masters. Errors are the API's own, with their Status in the trailing metadata.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import grpc
from raftsman import errors, logs, times
from raftsman.agent.v1 import agent_pb2_grpc as agent
from raftsman.core import v1 as core

from .network import dialing
from .pods import specs
from .pods.observation import specs_of
from .pods.pods import Pods
from .pods.record import Record
from .runtime import Attached, Container, LogQuery, NotFound, Phase, Runtime, RuntimeFault, read_log
from .settings import Settings

log = logs.get(__name__)

CLIENT_NAME = "kube-apiserver-kubelet-client"
CLIENT_GROUP = "system:masters"
STOP_GRACE_S = 0.2
MESSAGE_MAX = 4 * 1024 * 1024
CANNOT_RUN = 126
LINGER_S = 2.0
STDERR = 2
CHUNK = 32 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX),
    ("grpc.so_reuseport", 0),
    # An API server that vanished ends what it had open here.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


def create(settings: Settings, pods: Pods, runtime: Runtime) -> grpc.aio.Server:
    """A server that listens on settings.port once it is started; OSError if the port is taken."""
    server = grpc.aio.server(options=_OPTIONS)
    agent.add_NodeAgentServicer_to_server(Service(settings, pods, runtime), server)
    assert settings.tls_cert_file is not None
    assert settings.tls_private_key_file is not None
    assert settings.client_ca_file is not None
    credentials = grpc.ssl_server_credentials(
        [(settings.tls_private_key_file.read_bytes(), settings.tls_cert_file.read_bytes())],
        root_certificates=settings.client_ca_file.read_bytes(),
        require_client_auth=True,
    )
    try:
        server.add_secure_port(f"0.0.0.0:{settings.port}", credentials)
    except RuntimeError:
        raise OSError(f"the node agent cannot listen on port {settings.port}: something else does") from None
    return server


class Service(agent.NodeAgentServicer):
    """raftsman.agent.v1.NodeAgent."""

    def __init__(self, settings: Settings, pods: Pods, runtime: Runtime) -> None:
        self._settings = settings
        self._pods = pods
        self._runtime = runtime

    async def Logs(self, request: core.LogsRequest, context: Any) -> AsyncIterator[core.LogsResponse]:
        try:
            _authorize(context)
            record = self._record(request.namespace, request.name)
            name = _container_name(record, request.container)
            path, container = self._log_of(record, name, previous=request.previous)
            async for chunk in read_log(path, _query(request), finished=lambda: self._finished(container)):
                yield core.LogsResponse(data=chunk)
        except FileNotFoundError:
            return
        except errors.ApiError as error:
            await _abort(context, error)

    async def Exec(self, requests: AsyncIterator[core.ExecRequest], context: Any) -> AsyncIterator[core.ExecResponse]:
        try:
            _authorize(context)
            start = await _first(requests)
            if not start.command:
                raise errors.BadRequest("you must specify at least one command for the container")
            container = self._running(start)
            opening = self._runtime.containers.open_exec(
                container.id, tuple(start.command), tty=start.tty, stdin=start.stdin
            )
        except errors.ApiError as error:
            await _abort(context, error)
        async with contextlib.aclosing(_terminal(opening, start, requests)) as answers:
            async for answer in answers:
                yield answer

    async def Attach(self, requests: AsyncIterator[core.ExecRequest], context: Any) -> AsyncIterator[core.ExecResponse]:
        """Input for a container that takes none goes nowhere."""
        try:
            _authorize(context)
            start = await _first(requests)
            container = self._running(start)
            spec = _spec_of(self._record(start.namespace, start.name), container.name)
            if start.tty and not container.tty:
                raise errors.BadRequest(f"container {container.name} has no terminal: it was not made with tty")
            start.tty, start.stdin = container.tty, start.stdin and spec.stdin
            opening = self._runtime.containers.attach(
                container.id, stdin_stays=spec.stdin and not (spec.stdin_once and start.stdin)
            )
        except errors.ApiError as error:
            await _abort(context, error)
        async with contextlib.aclosing(_terminal(opening, start, requests)) as answers:
            async for answer in answers:
                yield answer

    async def PortForward(
        self, requests: AsyncIterator[core.PortForwardRequest], context: Any
    ) -> AsyncIterator[core.PortForwardResponse]:
        try:
            _authorize(context)
            start = await _first(requests)
            reader, writer = await self._dial(start)
        except errors.ApiError as error:
            await _abort(context, error)
        sending = asyncio.create_task(_send(requests, writer), name="port-forward")
        try:
            yield core.PortForwardResponse()
            while data := await _received(reader):
                yield core.PortForwardResponse(data=data)
            yield core.PortForwardResponse(closed=True)
            await asyncio.wait({sending}, timeout=LINGER_S)
        finally:
            sending.cancel()
            writer.close()

    async def _dial(self, start: core.PortForwardStart) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        record = self._record(start.namespace, start.name)
        sandbox = self._runtime.sandboxes.get(record.uid)
        if sandbox is None:
            raise errors.BadRequest(f"unable to forward port because pod {start.name} is not running")
        try:
            return await dialing.connect(None if sandbox.host_network else sandbox.directory / "net", start.port)
        except OSError as refused:
            why = os.strerror(refused.errno) if refused.errno else str(refused)
            raise errors.Unavailable(
                f"failed to connect to localhost:{start.port} in pod {start.name}: {why}"
            ) from None

    def _record(self, namespace: str, name: str) -> Record:
        record = self._pods.get(namespace, name)
        if record is None:
            raise errors.NotFound(f'pods "{name}" not found on node {self._settings.node_name}')
        return record

    def _runs(self, record: Record, name: str) -> list[Container]:
        runs = [c for c in self._runtime.containers.list(record.uid) if c.name == name]
        return sorted(runs, key=lambda run: run.attempt)

    def _log_of(self, record: Record, name: str, *, previous: bool) -> tuple[Path, Container | None]:
        """The log file that is meant, and the container that writes it, if there still is one."""
        runs = self._runs(record, name)
        latest = runs[-1].attempt if runs else self._last_attempt(record, name)
        if latest is None:
            if previous:
                raise errors.BadRequest(_no_previous(record, name))
            raise errors.BadRequest(f'container "{name}" in pod "{record.pod.metadata.name}" is waiting to start')
        running = bool(runs) and runs[-1].phase is not Phase.EXITED
        attempt = latest
        if previous:
            attempt = latest - 1 if running or not self._will_restart(record, name) else latest
            if attempt < 0 or not specs.log_path(self._settings, record.uid, name, attempt).exists():
                raise errors.BadRequest(_no_previous(record, name))
        run = next((r for r in runs if r.attempt == attempt), None)
        return specs.log_path(self._settings, record.uid, name, attempt), run

    def _will_restart(self, record: Record, name: str) -> bool:
        every = (*record.pod.status.container_statuses, *record.pod.status.init_container_statuses)
        return any(s.name == name and s.state.HasField("waiting") for s in every)

    def _last_attempt(self, record: Record, name: str) -> int | None:
        """Of a pod whose containers are gone: by the files they left."""
        folder = specs.log_path(self._settings, record.uid, name, 0).parent
        attempts = [int(p.stem) for p in folder.glob("*.log") if p.stem.isdigit()] if folder.is_dir() else []
        return max(attempts, default=None)

    def _finished(self, container: Container | None) -> bool:
        if container is None:
            return True
        try:
            return self._runtime.containers.inspect(container.id).phase is Phase.EXITED
        except NotFound:
            return True

    def _running(self, start: core.ExecStart) -> Container:
        record = self._record(start.namespace, start.name)
        name = _container_name(record, start.container)
        runs = self._runs(record, name)
        if not runs or runs[-1].phase is not Phase.RUNNING:
            raise errors.BadRequest(f'container "{name}" in pod "{start.name}" is not running')
        return runs[-1]


def _no_previous(record: Record, name: str) -> str:
    return f'previous terminated container "{name}" in pod "{record.pod.metadata.name}" not found'


def _container_name(record: Record, asked: str) -> str:
    pod = record.pod
    names = [c.name for c in pod.spec.containers]
    if not asked:
        preferred = pod.metadata.annotations.get("kubectl.kubernetes.io/default-container", "")
        if len(names) == 1 or preferred in names:
            return preferred if preferred in names else names[0]
        raise errors.BadRequest(
            f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{' '.join(names)}]"
        )
    if asked not in [c.name for c in specs_of(pod)]:
        raise errors.BadRequest(f"container {asked} is not valid for pod {pod.metadata.name}")
    return asked


def _query(request: core.LogsRequest) -> LogQuery:
    since = None
    if request.HasField("since_time"):
        since = times.to_datetime(request.since_time)
    elif request.HasField("since_seconds"):
        since = datetime.now(UTC) - timedelta(seconds=request.since_seconds)
    return LogQuery(
        follow=request.follow,
        tail_lines=int(request.tail_lines) if request.HasField("tail_lines") else None,
        since=since,
        timestamps=request.timestamps,
        limit_bytes=int(request.limit_bytes) if request.HasField("limit_bytes") else None,
    )


def _spec_of(record: Record, name: str) -> core.Container:
    """The container's specification. It is one of the pod's."""
    return next(c for c in specs_of(record.pod) if c.name == name)


async def _first(requests: AsyncIterator[Any]) -> Any:
    async for request in requests:
        if request.HasField("start"):
            return request.start
        break
    raise errors.BadRequest("the first message of the stream must be its start")


async def _terminal(
    opening: Awaitable[Attached], start: core.ExecStart, requests: AsyncIterator[core.ExecRequest]
) -> AsyncGenerator[core.ExecResponse, None]:
    """A command's or a container's streams, from their opening to their end."""
    try:
        stream = await opening
    except RuntimeFault as fault:
        yield core.ExecResponse(exit=core.ExecExit(code=CANNOT_RUN, message=fault.message))
        return
    feeding = asyncio.create_task(_feed(stream, start, requests), name="terminal input")
    try:
        yield core.ExecResponse()
        while (piece := await stream.read()) is not None:
            channel, data = piece
            if channel == STDERR and start.stderr:
                yield core.ExecResponse(stderr=data)
            elif channel != STDERR and start.stdout:
                yield core.ExecResponse(stdout=data)
        yield core.ExecResponse(exit=core.ExecExit(code=await stream.wait()))
        # A write that meets an ended call would make the client's gRPC forget how that ended.
        await asyncio.wait({feeding}, timeout=LINGER_S)
    finally:
        feeding.cancel()
        await stream.aclose()


async def _received(reader: asyncio.StreamReader) -> bytes:
    """What the port sent; empty at its end."""
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""


async def _send(requests: AsyncIterator[core.PortForwardRequest], writer: asyncio.StreamWriter) -> None:
    """What the client sends, to the port. A client that breaks off ends the connection."""
    with contextlib.suppress(grpc.RpcError):
        async for request in requests:
            # What comes after the port's end is taken and dropped.
            with contextlib.suppress(OSError, RuntimeError):
                if request.closed:
                    writer.write_eof()
                elif request.data:
                    writer.write(request.data)
                    await writer.drain()


async def _feed(stream: Attached, start: core.ExecStart, requests: AsyncIterator[core.ExecRequest]) -> None:
    if start.tty and start.HasField("size"):
        await stream.resize(start.size.columns, start.size.rows)
    with contextlib.suppress(grpc.RpcError, asyncio.CancelledError):
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "stdin" and start.stdin:
                await stream.write(request.stdin)
            elif kind == "stdin_closed" and start.stdin:
                await stream.close_stdin()
            elif kind == "size":
                await stream.resize(request.size.columns, request.size.rows)


def _authorize(context: Any) -> None:
    """Forbidden unless the peer is the API server's client or an administrator."""
    held = context.auth_context()
    names = [name.decode() for name in held.get("x509_common_name", ())]
    if CLIENT_NAME in names:
        return
    from cryptography import x509  # 10 ms of an agent's start that only an administrator's direct call needs
    from cryptography.x509.oid import NameOID

    for pem in held.get("x509_pem_cert", ()):
        subject = x509.load_pem_x509_certificate(pem).subject
        groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if CLIENT_GROUP in groups:
            return
    log.warning("node agent refused a client", client=",".join(names) or "unknown")
    raise errors.Forbidden(f'"{",".join(names)}" may not use the node agent')


async def _abort(context: Any, error: errors.ApiError) -> NoReturn:
    await context.abort(error.grpc_code, error.message, ((errors.DETAILS_KEY, error.to_details()),))
    raise AssertionError("abort raises")
