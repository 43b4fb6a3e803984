"""The SDK against a real store and API server: what a restart of the server does to those who watch."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from raftsman import Client, EventType, Key, PatchType, PodBinding, Propagation, errors, kubeconfig
from raftsman.apps import v1 as apps
from raftsman.client import config
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.meta import v1 as meta
from raftsman.recorder import EventRecorder

from ..services.control.conftest import Cluster  # noqa: TID252

EXAMPLE = Path(__file__).parents[2] / "examples" / "sdk_watch.py"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="raftsman-sdk-") as path:
        found = Cluster(Path(path))
        try:
            found.start("store")
            found.await_ready("store", found.settings.store_metrics_port)
            start_api(found)
            yield found
        finally:
            found.stop()


def start_api(cluster: Cluster) -> None:
    cluster.start("apiserver")
    cluster.await_ready("apiserver", cluster.settings.apiserver_health_port)


def restart_api(cluster: Cluster) -> None:
    """As after a crash."""
    cluster.running["apiserver"].process.kill()
    cluster.running["apiserver"].process.wait(10)
    start_api(cluster)


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with cluster.client() as found:
        yield found


@pytest.fixture
async def namespace(client: Client) -> str:
    name = f"t-{secrets.token_hex(4)}"
    await client.create(core.Namespace(metadata=meta.ObjectMeta(name=name)))
    return name


def config_map(namespace: str, name: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace=namespace), data=data)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_every_verb_does_what_it_says(client: Client, namespace: str) -> None:
    created = await client.create(config_map(namespace, "a", k="1"))
    assert created.metadata.uid
    patched = await client.patch(core.ConfigMap, "a", {"data": {"k": "2"}}, namespace=namespace)
    assert patched.data["k"] == "2"
    operations = [{"op": "replace", "path": "/data/k", "value": "3"}]
    patched = await client.patch(core.ConfigMap, "a", operations, namespace=namespace, type=PatchType.JSON)
    assert patched.data["k"] == "3"
    with pytest.raises(errors.Conflict):
        await client.update(created)
    with pytest.raises(errors.AlreadyExists):
        await client.create(config_map(namespace, "a"))
    with pytest.raises(errors.Conflict):
        await client.delete(core.ConfigMap, "a", namespace=namespace, uid="another")
    await client.create(config_map(namespace, "b"), dry_run=True)
    assert [i.metadata.name for i in (await client.list(core.ConfigMap, namespace=namespace)).items] == ["a"]
    await client.delete_collection(core.ConfigMap, namespace=namespace, propagation=Propagation.BACKGROUND)
    assert not (await client.list(core.ConfigMap, namespace=namespace)).items


async def test_a_list_comes_in_pages(client: Client, namespace: str) -> None:
    for number in range(5):
        await client.create(config_map(namespace, f"m{number}"))
    first = await client.list(core.ConfigMap, namespace=namespace, limit=3)
    rest = await client.list(core.ConfigMap, namespace=namespace, limit=3, continue_token=first.metadata.continue_token)
    assert [i.metadata.name for i in (*first.items, *rest.items)] == [f"m{number}" for number in range(5)]


async def test_an_invalid_object_names_every_cause_by_its_field(client: Client, namespace: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await client.create(core.Service(metadata=meta.ObjectMeta(name="Not_A_Name", namespace=namespace)))
    assert {"metadata.name", "spec.ports"} <= {cause.field for cause in caught.value.causes}


async def test_a_manifest_is_created_then_replaced(client: Client, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "1"}}
    assert (await client.apply_manifest(manifest, namespace=namespace)).data["k"] == "1"
    manifest["data"] = {"k": "2"}
    assert (await client.apply_manifest(manifest, namespace=namespace)).data["k"] == "2"


async def test_a_service_account_connects_by_its_token(cluster: Cluster, client: Client, namespace: str) -> None:
    await client.create(core.ServiceAccount(metadata=meta.ObjectMeta(name="robot", namespace=namespace)))
    answer = await client.create_token("robot", namespace=namespace, expiration_s=900)
    config = replace(kubeconfig.load(cluster.layout.kubeconfig()), certificate=None, key=None)
    async with Client(replace(config, token=answer.status.token)) as robot:
        assert (await robot.whoami()).username == f"system:serviceaccount:{namespace}:robot"
        with pytest.raises(errors.Forbidden):
            await robot.list(core.Secret)
    async with Client(replace(config, token="forged")) as nobody:
        with pytest.raises(errors.Unauthorized):
            await nobody.whoami()


def plugin_of(folder: Path, first: dict[str, str], then: dict[str, str]) -> config.Plugin:
    """Prints `first` when it runs first, and `then` from then on."""
    version = "client.authentication.k8s.io/v1"
    for name, status in (("first", first), ("then", then)):
        body = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        (folder / name).write_text(json.dumps(body))
    script = 'if mkdir "$0/ran" 2>/dev/null; then cat "$0/first"; else cat "$0/then"; fi'
    return config.Plugin(api_version=version, command="sh", arguments=("-c", script, str(folder)))


async def test_a_plug_in_s_certificate_connects_and_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    admin = kubeconfig.load(cluster.layout.kubeconfig())
    assert admin.certificate is not None
    assert admin.key is not None
    pair = {"clientCertificateData": admin.certificate.decode(), "clientKeyData": admin.key.decode()}
    plugin = plugin_of(tmp_path, {"token": "stale"}, pair)
    async with Client(replace(admin, certificate=None, key=None, plugin=plugin)) as client:
        assert (await client.whoami()).username == "kubernetes-admin"
        assert await client.list(core.Namespace) is not None
        assert client.transport._shown == (admin.certificate, admin.key)


async def test_a_watch_gets_a_new_token_when_its_first_is_refused(
    cluster: Cluster, client: Client, namespace: str, tmp_path: Path
) -> None:
    await client.create(core.ServiceAccount(metadata=meta.ObjectMeta(name="robot", namespace=namespace)))
    token = (await client.create_token("robot", namespace=namespace)).status.token
    plugin = plugin_of(tmp_path, {"token": "stale"}, {"token": token})
    admin = kubeconfig.load(cluster.layout.kubeconfig())
    async with Client(replace(admin, certificate=None, key=None, plugin=plugin)) as robot:
        with pytest.raises(errors.Forbidden):
            async for _ in robot.watch(core.Secret, resource_version="1"):
                pass


async def test_calls_count_for_whom_they_are_made(cluster: Cluster) -> None:
    admin = kubeconfig.load(cluster.layout.kubeconfig())
    jane = config.Impersonation(user="jane", groups=("dev",))
    async with Client(replace(admin, impersonate=jane)) as client:
        found = await client.whoami()
        assert (found.username, "dev" in found.groups) == ("jane", True)
        with pytest.raises(errors.Forbidden, match="jane"):
            await client.list(core.Secret)


async def test_a_proxy_is_tunnelled_through(cluster: Cluster) -> None:
    asked: list[str] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        host, port = head.split()[1].rsplit(":", 1)
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, back))
            group.create_task(pump(there, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    admin = kubeconfig.load(cluster.layout.kubeconfig())
    server = await asyncio.start_server(tunnel, "127.0.0.1")
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Client(replace(admin, proxy=proxy)) as client:
        assert (await client.whoami()).username == "kubernetes-admin"
    assert asked[0].startswith(f"CONNECT {admin.target}")


async def test_many_pods_are_bound_at_once_each_with_its_own_answer(client: Client, namespace: str) -> None:
    await client.create(core.ServiceAccount(metadata=meta.ObjectMeta(name="default", namespace=namespace)))
    node = f"n-{secrets.token_hex(3)}"
    await client.create(core.Node(metadata=meta.ObjectMeta(name=node)))
    pod = core.Pod(metadata=meta.ObjectMeta(name="p", namespace=namespace))
    pod.spec.containers.add(name="c", image="x")
    await client.create(pod)
    bound, missing = await client.bind_many([(namespace, "p", node), PodBinding(namespace, "none", node)])
    assert bound is None
    assert isinstance(missing, errors.NotFound)
    assert (await client.get(core.Pod, "p", namespace=namespace)).spec.node_name == node
    with pytest.raises(errors.Conflict):
        await client.bind(namespace, "p", node)


async def test_a_deployment_is_scaled(client: Client, namespace: str) -> None:
    manifest = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: x}]}}
"""
    await client.apply_manifest(manifest, namespace=namespace)
    scale = await client.get_scale(apps.Deployment, "web", namespace=namespace)
    assert scale.spec.replicas == 1
    scale.spec.replicas = 4
    await client.update_scale(apps.Deployment, scale)
    assert (await client.get(apps.Deployment, "web", namespace=namespace)).spec.replicas == 4


async def test_two_managers_apply_their_parts_of_an_object(client: Client, namespace: str) -> None:
    def config(**data: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}

    async def apply(manager: str, *, force: bool = False, **data: str) -> dict[str, str]:
        made = await client.apply(
            core.ConfigMap, "c", config(**data), field_manager=manager, namespace=namespace, force=force
        )
        return dict(made.data)

    assert await apply("one", a="1", b="2") == {"a": "1", "b": "2"}
    assert await apply("two", c="3") == {"a": "1", "b": "2", "c": "3"}
    assert await apply("one", a="1") == {"a": "1", "c": "3"}
    with pytest.raises(errors.Conflict) as refused:
        await apply("two", a="9", c="3")
    assert [cause.field for cause in refused.value.causes] == [".data.a"]
    assert await apply("two", force=True, a="9", c="3") == {"a": "9", "c": "3"}


async def test_a_watch_goes_on_through_a_crash_of_the_server(cluster: Cluster, client: Client, namespace: str) -> None:
    seen: list[tuple[EventType, str]] = []

    async def follow() -> None:
        async for event in client.watch(core.ConfigMap, namespace=namespace):
            seen.append((event.type, event.object.metadata.name))

    await client.create(config_map(namespace, "before"))
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(follow())
        await eventually(lambda: len(seen) == 1)
        await asyncio.to_thread(restart_api, cluster)
        await client.whoami()  # reads are repeated until the channel is there again; a write never is
        await client.create(config_map(namespace, "after"))
        await client.delete(core.ConfigMap, "before", namespace=namespace)
        await eventually(lambda: len(seen) == 3)
        follower.cancel()
    assert seen == [(EventType.ADDED, "before"), (EventType.ADDED, "after"), (EventType.DELETED, "before")]


async def test_an_informer_is_true_again_after_a_crash_of_the_server(
    cluster: Cluster, client: Client, namespace: str
) -> None:
    async with Informers(client) as informers:
        maps = informers.get(core.ConfigMap, namespace=namespace)
        await maps.synced()
        await client.create(config_map(namespace, "a"))
        await asyncio.to_thread(restart_api, cluster)
        await client.whoami()  # reads are repeated until the channel is there again; a write never is
        await client.create(config_map(namespace, "b"))
        await client.delete(core.ConfigMap, "a", namespace=namespace)
        await eventually(lambda: set(maps.cache.keys()) == {Key(namespace, "b")})


async def test_an_event_that_happens_again_is_counted(client: Client, namespace: str) -> None:
    recorder = EventRecorder(client, "tester", host="here")
    running = asyncio.create_task(recorder.run())
    about = await client.create(config_map(namespace, "a"))
    for _ in range(3):
        recorder.warning(about, "Trouble", "it does not work")
    recorder.normal(about, "Fine", "it works")
    await recorder.drain()
    running.cancel()
    found = (await client.list(core.Event, namespace=namespace)).items
    assert {(e.reason, e.type, e.count, e.source.component, e.source.host) for e in found} == {
        ("Trouble", "Warning", 3, "tester", "here"), ("Fine", "Normal", 1, "tester", "here"),
    }  # fmt: skip
    assert {e.involved_object.uid for e in found} == {about.metadata.uid}


def test_the_example_ends_by_itself_and_leaves_nothing(cluster: Cluster) -> None:
    environment = {**os.environ, "KUBECONFIG": str(cluster.layout.kubeconfig())}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deleted, and the watch saw it" in done.stdout


async def test_an_unknown_authority_is_not_trusted(cluster: Cluster) -> None:
    config = kubeconfig.load(cluster.layout.kubeconfig())
    store_ca = (cluster.layout.pki / "store-ca.crt").read_bytes()
    async with Client(replace(config, root_ca=store_ca)) as client:
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await client.version()
