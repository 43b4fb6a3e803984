"""Logs and exec for the API server, over real TLS: who may ask, and what is answered."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from raftsman import cluster, errors
from raftsman.agent.v1 import agent_pb2_grpc
from raftsman.agents.node import server
from raftsman.agents.node.pods import specs
from raftsman.agents.node.pods.pods import Pods
from raftsman.agents.node.pods.record import Record
from raftsman.agents.node.runtime import Runtime
from raftsman.agents.node.settings import Settings
from raftsman.cluster import layout, pki
from raftsman.cluster import settings as cluster_settings
from raftsman.core import v1 as core

from .pods.builders import ended, pod, run

assert cluster


class FakeRuntime:
    """What the server asks of a runtime."""

    def __init__(self) -> None:
        self.containers = self
        self.known: list[Any] = []

    def list(self, uid: str) -> tuple[Any, ...]:
        return tuple(self.known)

    def inspect(self, container_id: str) -> Any:
        return next(c for c in self.known if c.id == container_id)


class FakePods:
    def __init__(self) -> None:
        self.record = Record("uid-1", pod("web", "side"))

    def get(self, namespace: str, name: str) -> Record | None:
        return self.record if (namespace, name) == ("default", "web") else None


@dataclass(frozen=True, slots=True)
class Bench:
    settings: Settings
    pods: FakePods
    runtime: FakeRuntime
    pki: Path

    def stub(self, identity: str | None) -> tuple[grpc.aio.Channel, agent_pb2_grpc.NodeAgentAsyncStub]:
        """A channel with the certificate of `identity`."""
        pair = {}
        if identity is not None:
            pair = {
                "private_key": (self.pki / f"{identity}.key").read_bytes(),
                "certificate_chain": (self.pki / f"{identity}.crt").read_bytes(),
            }
        credentials = grpc.ssl_channel_credentials((self.pki / "ca.crt").read_bytes(), **pair)
        channel = grpc.aio.secure_channel(f"127.0.0.1:{self.settings.port}", credentials)
        return channel, cast("agent_pb2_grpc.NodeAgentAsyncStub", agent_pb2_grpc.NodeAgentStub(channel))

    async def logs(self, request: core.LogsRequest, *, identity: str | None = "apiserver-kubelet-client") -> bytes:
        channel, stub = self.stub(identity)
        async with channel:
            try:
                return b"".join([chunk.data async for chunk in stub.Logs(request, timeout=5)])
            except grpc.aio.AioRpcError as error:
                raise errors.from_rpc(error) from None

    def write_log(self, name: str, attempt: int, *lines: str) -> None:
        path = specs.log_path(self.settings, "uid-1", name, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"2026-01-02T03:04:05.000000000+00:00 stdout F {line}\n" for line in lines))


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = layout.Layout.of(tmp_path)
    pki.ensure(place, cluster_settings.Settings(node_name="n1", node_ip="127.0.0.1"))
    settings = Settings(
        node_name="n1",
        node_ip="127.0.0.1",
        data_dir=tmp_path,
        port=port,
        tls_cert_file=place.pki / "kubelet-server.crt",
        tls_private_key_file=place.pki / "kubelet-server.key",
        client_ca_file=place.pki / "ca.crt",
    )
    made = Bench(settings, FakePods(), FakeRuntime(), place.pki)
    serving = server.create(settings, cast("Pods", made.pods), cast("Runtime", made.runtime))
    await serving.start()
    yield made
    await serving.stop(None)


REQUEST = core.LogsRequest(namespace="default", name="web", container="web")


async def test_the_api_servers_client_and_administrators_may_ask(bench: Bench) -> None:
    bench.write_log("web", 0, "hello")
    assert await bench.logs(REQUEST) == b"hello\n"
    assert await bench.logs(REQUEST, identity="admin") == b"hello\n"


@pytest.mark.parametrize("identity", ["agent", "scheduler", "controllers"])
async def test_nobody_else_may(bench: Bench, identity: str) -> None:
    bench.write_log("web", 0, "hello")
    with pytest.raises(errors.Forbidden):
        await bench.logs(REQUEST, identity=identity)


async def test_a_client_without_a_certificate_does_not_get_through(bench: Bench) -> None:
    with pytest.raises(errors.Unavailable):
        await bench.logs(REQUEST, identity=None)


async def test_a_second_server_on_the_port_says_so(bench: Bench) -> None:
    with pytest.raises(OSError, match=f"cannot listen on port {bench.settings.port}"):
        server.create(bench.settings, cast("Pods", bench.pods), cast("Runtime", bench.runtime))


async def test_previous_is_the_run_before_or_the_last_one_that_ended(bench: Bench) -> None:
    bench.write_log("web", 0, "first")
    bench.write_log("web", 1, "second")
    previous = core.LogsRequest()
    previous.CopyFrom(REQUEST)
    previous.previous = True
    bench.runtime.known = [ended(run(attempt=0)), run(attempt=1)]
    assert await bench.logs(REQUEST) == b"second\n"
    assert await bench.logs(previous) == b"first\n"
    bench.runtime.known = [ended(run(attempt=0)), ended(run(attempt=1), 1)]
    status = bench.pods.record.pod.status.container_statuses.add(name="web")
    status.state.waiting.reason = "CrashLoopBackOff"
    assert await bench.logs(previous) == b"second\n"


async def test_wrong_names_and_absent_logs_are_explained(bench: Bench) -> None:
    with pytest.raises(errors.NotFound, match='pods "none" not found'):
        await bench.logs(core.LogsRequest(namespace="default", name="none"))
    with pytest.raises(errors.BadRequest, match=r"choose one of: \[web side\]"):
        await bench.logs(core.LogsRequest(namespace="default", name="web"))
    with pytest.raises(errors.BadRequest, match="container x is not valid"):
        await bench.logs(core.LogsRequest(namespace="default", name="web", container="x"))
    with pytest.raises(errors.BadRequest, match="waiting to start"):
        await bench.logs(REQUEST)
    bench.runtime.known = [run()]
    bench.write_log("web", 0, "first")
    with pytest.raises(errors.BadRequest, match="previous terminated container"):
        await bench.logs(core.LogsRequest(namespace="default", name="web", container="web", previous=True))


async def test_exec_needs_a_running_container_and_a_command(bench: Bench) -> None:
    channel, stub = bench.stub("apiserver-kubelet-client")

    async def attempt(start: core.ExecStart) -> None:
        call = stub.Exec(timeout=5)
        await call.write(core.ExecRequest(start=start))
        try:
            await call.read()
            await call.read()
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None

    start = core.ExecStart(namespace="default", name="web", container="web", command=["true"])
    async with channel:
        with pytest.raises(errors.BadRequest, match="is not running"):
            await attempt(start)
        bench.runtime.known = [run()]
        start.ClearField("command")
        with pytest.raises(errors.BadRequest, match="at least one command"):
            await attempt(start)


def test_the_default_container_is_the_annotated_one() -> None:
    record = Record("uid-1", pod("web", "side"))
    record.pod.metadata.annotations["kubectl.kubernetes.io/default-container"] = "side"
    assert server._container_name(record, "") == "side"
    assert replace(run(), name="x").name == "x"
