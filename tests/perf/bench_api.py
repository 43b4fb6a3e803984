"""The API server on one store member: requests, lists, watches, memory. `scripts/bench api [PART ...]`.

REST over TLS with a client certificate whose user has rights by RBAC, and gRPC with the same; objects are ConfigMaps of
1 KiB, as other API servers were measured. CPU is the server's own per request, the store's beside it. Everything is a
process of its own on loopback, the store with fsync on. Parts: requests growth lists watches memory.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import secrets
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import uvloop
from api_load import Caller, Load, Watchers, connect, drive, request
from measure import cpu_s, report, rss_mib
from raftsman.core import v1 as core
from raftsman.core.v1 import api_pb2_grpc
from raftsman.meta import v1 as meta
from raftsman.rbac import v1 as rbac

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.services.apiserver.certificates import Authority
from tests.services.apiserver.cluster import Api, ApiServerProcess, StoreProcess

SECONDS = 6.0
WARM_S = 1.5
CONNECTIONS = 8
MANY = 5_000
PADDING = "x" * 900
SPACE = "/api/v1/namespaces/default"
PARTS = ("requests", "growth", "lists", "watches", "memory")


@dataclass
class Servers:
    """A running store and API server, and how to speak to them as a user with rights by a role."""

    store: StoreProcess
    api: ApiServerProcess
    context: ssl.SSLContext
    user: tuple[str, str]

    @property
    def store_pid(self) -> int:
        return self.store.pid

    @property
    def api_pid(self) -> int:
        return self.api.process.pid

    async def callers(self, count: int) -> list[Caller]:
        return [await connect(self.api.port, self.context) for _ in range(count)]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the API server and of the store."""
        return cpu_s(self.api_pid), cpu_s(self.store_pid)

    def channel(self) -> grpc.aio.Channel:
        pems = [Path(path).read_bytes() for path in (self.api.authority.ca, self.user[1], self.user[0])]
        options = (("grpc.max_receive_message_length", -1),)
        return grpc.aio.secure_channel(self.api.address, grpc.ssl_channel_credentials(*pems), options=options)


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="raftsman-bench-") as path:
        folder = Path(path)
        authority = Authority(folder)
        store = StoreProcess(folder)
        api = ApiServerProcess(folder, store, authority)
        try:
            user = authority.issue("bench")
            context = ssl.create_default_context(cafile=authority.ca)
            context.load_cert_chain(*user)
            async with api.client() as admin:
                await _prepare(admin)
            yield Servers(store, api, context, user)
        finally:
            api.stop()
            store.stop()


async def _prepare(admin: Api) -> None:
    """The namespace's service account, and the rights of the user."""
    account = core.ServiceAccount()
    account.metadata.namespace, account.metadata.name = "default", "default"
    await admin.create(account)
    role = rbac.ClusterRole()
    role.metadata.name = "bench"
    role.rules.add(api_groups=[""], resources=["configmaps", "pods"], verbs=["*"])
    await admin.create(role)
    binding = rbac.ClusterRoleBinding()
    binding.metadata.name = "bench"
    binding.role_ref.api_group, binding.role_ref.kind, binding.role_ref.name = (
        "rbac.authorization.k8s.io", "ClusterRole", "bench",
    )  # fmt: skip
    binding.subjects.add(api_group="rbac.authorization.k8s.io", kind="User", name="bench")
    await admin.create(binding)


def config_map(name: str) -> bytes:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"padding": PADDING}}
    ).encode()


def pod(name: str) -> bytes:
    container = {"name": "app", "image": "localhost/app:1", "env": [{"name": "PADDING", "value": PADDING[:600]}]}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    ).encode()


def creates(kind: str) -> Iterator[bytes]:
    prefix = secrets.token_hex(4)
    make = pod if kind == "pods" else config_map
    for number in itertools.count():
        yield request("POST", f"{SPACE}/{kind}", make(f"{prefix}-{number}"))


async def _filled(found: Servers, count: int, kind: str = "configmaps") -> None:
    """Create so many objects."""
    wanted = creates(kind)
    callers = await found.callers(CONNECTIONS)

    async def some(caller: Caller, share: int) -> None:
        for _ in range(share):
            status, body = await caller.call(next(wanted))
            assert status == 201, body

    async with asyncio.TaskGroup() as tasks:
        for number, caller in enumerate(callers):
            tasks.create_task(some(caller, len(range(number, count, CONNECTIONS))))
    for caller in callers:
        caller.close()


async def _measured(found: Servers, title: str, requests: Iterator[bytes], *, expected: int, connections: int) -> Load:
    """Drive and report a kind of request."""
    callers = await found.callers(connections)
    await drive(callers, requests, seconds=WARM_S, expected=expected)
    before = found.cpu()
    load = await drive(callers, requests, seconds=SECONDS, expected=expected)
    after = found.cpu()
    for caller in callers:
        caller.close()
    assert not load.failed, f"{title}: {load.failed} of {len(load.latencies)} failed"
    _report_load(title, load, before, after)
    return load


def _report_load(title: str, load: Load, before: tuple[float, float], after: tuple[float, float]) -> None:
    count = len(load.latencies)
    report(f"api_{title}", load.per_s, "1/s", better="higher")
    report(f"api_{title}_p50", load.percentile_ms(0.5), "ms")
    report(f"api_{title}_p99", load.percentile_ms(0.99), "ms")
    report(f"api_{title}_cpu", (after[0] - before[0]) / count * 1e6, "us of the server")
    report(f"api_{title}_cpu_store", (after[1] - before[1]) / count * 1e6, "us of the store")


async def requests() -> None:
    """Gets and creates, REST and gRPC."""
    async with servers() as found:
        first = next(creates("configmaps"))
        caller = (await found.callers(1))[0]
        status, body = await caller.call(first)
        assert status == 201, body
        name = json.loads(body)["metadata"]["name"]
        get = itertools.repeat(request("GET", f"{SPACE}/configmaps/{name}"))
        await _measured(found, "rest_get", get, expected=200, connections=16)
        await _measured(found, "rest_create_configmap", creates("configmaps"), expected=201, connections=CONNECTIONS)
        await _measured(found, "rest_create_pod", creates("pods"), expected=201, connections=CONNECTIONS)
        await _grpc(found, name)


async def _grpc(found: Servers, name: str) -> None:
    async with found.channel() as channel:
        stub = api_pb2_grpc.ConfigMapsStub(channel)
        wanted = meta.GetRequest(namespace="default", name=name)
        prefix, numbers = secrets.token_hex(4), itertools.count()

        async def get() -> None:
            await stub.Get(wanted)

        async def create() -> None:
            made = core.ConfigMapWriteRequest()
            made.object.metadata.name, made.object.metadata.namespace = f"{prefix}-{next(numbers)}", "default"
            made.object.data["padding"] = PADDING
            await stub.Create(made)

        for title, call in (("grpc_get", get), ("grpc_create_configmap", create)):
            await _calls(call, Load(), WARM_S)
            load, before = Load(), found.cpu()
            await _calls(call, load, SECONDS)
            _report_load(title, load, before, found.cpu())


async def _calls(call: Callable[[], Awaitable[None]], load: Load, seconds: float) -> None:
    began = time.perf_counter()
    end = began + seconds

    async def one() -> None:
        while (at := time.perf_counter()) < end:
            await call()
            load.latencies.append(time.perf_counter() - at)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(16):
            tasks.create_task(one())
    load.seconds = time.perf_counter() - began


async def growth() -> None:
    """The server's CPU for a request beside many objects, and beside few."""
    async with servers() as found:
        cpu: dict[tuple[str, int], float] = {}
        for objects in (0, 4 * MANY):
            await _filled(found, objects)
            get = itertools.repeat(request("GET", f"{SPACE}/configmaps/kube-root-ca.crt"))
            for title, wanted, expected in (("get", get, 404), ("create", creates("pods"), 201)):
                callers = await found.callers(CONNECTIONS)
                await drive(callers, wanted, seconds=WARM_S, expected=expected)
                before = found.cpu()[0]
                load = await drive(callers, wanted, seconds=SECONDS, expected=expected)
                assert not load.failed
                cpu[title, objects] = (found.cpu()[0] - before) / len(load.latencies) * 1e6
        for title in ("get", "create"):
            few, many = cpu[title, 0], cpu[title, 4 * MANY]
            report(f"api_{title}_cpu_beside_{4 * MANY}", many, "us of the server", reference=few,
                   reference_name="the same beside none")  # fmt: skip


async def lists() -> None:
    """Whole lists of 5,000: JSON, protobuf, gRPC; the first one makes the JSON that the others find."""
    async with servers() as found:
        await _filled(found, MANY)
        await _filled(found, MANY, "pods")
        caller = (await found.callers(1))[0]
        for kind in ("configmaps", "pods"):
            for media, title in (("application/json", "json"), ("application/vnd.kubernetes.protobuf", "protobuf")):
                times = []
                for _ in range(6):
                    began = time.perf_counter()
                    status, body = await caller.call(request("GET", f"{SPACE}/{kind}", media=media))
                    times.append(time.perf_counter() - began)
                    assert status == 200
                report(f"api_list_{MANY}_{kind}_{title}_first", times[0] * 1000, "ms")
                report(f"api_list_{MANY}_{kind}_{title}", statistics.median(times[1:]) * 1000, "ms")
                report(f"api_list_{MANY}_{kind}_{title}_size", len(body) / 2**20, "MiB")
        async with found.channel() as channel:
            await _grpc_lists(channel)


async def _grpc_lists(channel: grpc.aio.Channel) -> None:
    method = channel.unary_unary("/raftsman.core.v1.Pods/List")
    wanted = meta.ListRequest(namespace="default", limit=0).SerializeToString()
    times = []
    for _ in range(6):
        began = time.perf_counter()
        await method(wanted)
        times.append(time.perf_counter() - began)
    report(f"api_list_{MANY}_pods_grpc", statistics.median(times) * 1000, "ms")


async def watches() -> None:
    """One event to many streams: the server's CPU a delivery, and when the last stream has it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with servers() as found:
        caller = (await found.callers(1))[0]
        watchers = Watchers(found.api.port, found.context, f"{SPACE}/configmaps?watch=true")
        opened = 0
        status, body = await caller.call(next(creates("configmaps")))
        assert status == 201, body
        for count in (1_000, MANY):
            await watchers.open(count - opened)
            opened = count
            last, cpu = [], []
            for _ in range(7):
                await asyncio.sleep(0.5)
                name = secrets.token_hex(8)
                done, before = watchers.expect(name.encode()), found.cpu()[0]
                began = time.perf_counter()
                status, body = await caller.call(request("POST", f"{SPACE}/configmaps", config_map(name)))
                assert status == 201, body
                await asyncio.wait_for(done, 60)
                last.append(time.perf_counter() - began)
                await asyncio.sleep(0.2)
                cpu.append((found.cpu()[0] - before) / count)
            report(f"api_watch_{count}_last", statistics.median(last) * 1000, "ms")
            report(f"api_watch_{count}_cpu", statistics.median(cpu) * 1e6, "us of the server a delivery")
        watchers.close()


async def memory() -> None:
    """What the server holds idle, and with 5,000 ConfigMaps of 1 KiB."""
    async with servers() as found:
        await asyncio.sleep(3)
        report("api_rss_idle", rss_mib(found.api_pid), "MiB")
        report("api_rss_idle_store", rss_mib(found.store_pid), "MiB")
        await _filled(found, MANY)
        await asyncio.sleep(3)
        report(f"api_rss_{MANY}", rss_mib(found.api_pid), "MiB")
        report(f"api_rss_{MANY}_store", rss_mib(found.store_pid), "MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    chosen = parser.parse_args().parts or PARTS
    parts = {"requests": requests, "growth": growth, "lists": lists, "watches": watches, "memory": memory}
    for part in chosen:
        if part not in parts:
            parser.error(f"{part} is none of {', '.join(PARTS)}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(parts[part]())


if __name__ == "__main__":
    main()
