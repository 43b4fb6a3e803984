"""Another API server behind this one: registered, found to answer, listed, and asked in the caller's name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from raftsman import errors, resources
from raftsman.apiregistration import v1 as apiregistration
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.aggregation import requestheader
from raftsman.services.apiserver.outbound import backends
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.object import CachedObject

from .certificates import Authority
from .cluster import Api, ApiServerProcess, front_proxies
from .rest import Kubectl, Rest, kubeconfig
from .test_validation import causes_of

PATIENCE_S = 60


@dataclass
class Other:
    """An aggregated API server with one resource, `rafts`."""

    name: str
    namespace: str
    group: str
    server: Any
    authority: Authority
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/v1beta1"

    def registration(self, **spec: Any) -> dict[str, Any]:
        ca = base64.b64encode(self.authority.ca_pem).decode()
        service = {"namespace": self.namespace, "name": self.name, "port": self.port}
        made = {
            "group": self.group, "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": service, "caBundle": ca,
        }  # fmt: skip
        name = f"v1beta1.{self.group}"
        kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}}
        return kind | {"spec": made | spec}


class Answers(BaseHTTPRequestHandler):
    """What the other server says."""

    protocol_version = "HTTP/1.1"
    other: Other

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        self.other.asked.append((self.command, self.path, headers))
        if self.headers.get("Upgrade"):
            return self._echo()
        if "watch=true" in url.query:
            return self._watch()
        tree = self._trees().get(url.path)
        return self._say(200 if tree is not None else 404, tree or {"kind": "Status", "code": 404})

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say(201, {"took": sent, "as": self.headers.get("X-Remote-User")})

    def _trees(self) -> dict[str, Any]:
        raft = {"kind": "Raft", "apiVersion": f"{self.other.group}/v1beta1", "metadata": {"name": "r"}}
        resource = {
            "name": "rafts", "singularName": "raft", "namespaced": True, "kind": "Raft", "verbs": ["get", "list"],
            "shortNames": ["rf"],
        }  # fmt: skip
        listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{self.other.group}/v1beta1"}
        schemas = {"schemas": {"example.Raft": {"type": "object"}}}
        document = {"openapi": "3.0.0", "info": {}, "paths": {f"{self.other.path}/x": {}}, "components": schemas}
        return {
            self.other.path: listed | {"resources": [resource]},
            f"/openapi/v3{self.other.path}": document,
            f"{self.other.path}/namespaces/default/rafts/r": raft,
        }

    def _say(self, status: int, tree: Any) -> None:
        body = json.dumps(tree).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Warning", '299 - "from the other"')
        self.end_headers()
        self.wfile.write(body)

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            line = json.dumps({"type": "ADDED", "object": {"n": number}}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _echo(self) -> None:
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst ")
        while data := self.rfile.readline():
            self.wfile.write(data.upper())
        self.close_connection = True


@pytest.fixture
def rest(server: ApiServerProcess) -> Iterator[Rest]:
    client = Rest(server)
    yield client
    client.close()


@pytest.fixture
async def other(
    server: ApiServerProcess, api: Api, folder: Path, namespace: str, tmp_path: Path
) -> AsyncIterator[Other]:
    """A running one, and a service that leads to it; not registered."""
    name = f"other-{secrets.token_hex(3)}"
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=front_proxies(folder).ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue(name, host=f"{name}.{namespace}.svc"))
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Answers,), {}))
    http_server.socket = context.wrap_socket(http_server.socket, server_side=True, do_handshake_on_connect=False)
    made = Other(name, namespace, f"{name}.example.com", http_server, authority)
    http_server.RequestHandlerClass.other = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    service = core.Service()
    service.metadata.namespace, service.metadata.name = namespace, name
    # Endpoints may not be loopback addresses; a name may.
    service.spec.type, service.spec.external_name = "ExternalName", "localhost"
    await api.create(service)
    yield made
    with contextlib.suppress(errors.NotFound):
        await api.delete(apiregistration.APIService, f"v1beta1.{made.group}", "")
    http_server.shutdown()
    http_server.server_close()
    thread.join(10)


async def condition(api: Api, group: str, *, status: str) -> apiregistration.APIServiceCondition:
    """The condition of a registration, once its status is this."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = apiregistration.APIService()
        with contextlib.suppress(errors.NotFound):
            found = await api.get(apiregistration.APIService, f"v1beta1.{group}", "")
        for one in found.status.conditions:
            if one.status == status:
                return one
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


async def registered(api: Api, rest: Rest, other: Other, **spec: Any) -> None:
    made = await asyncio.to_thread(
        rest.json, "POST", "/apis/apiregistration.k8s.io/v1/apiservices", other.registration(**spec)
    )
    assert made[0] == 201, made
    await condition(api, other.group, status="True")


async def test_what_is_built_in_is_registered_and_local(api: Api) -> None:
    found = {one.metadata.name: one for one in (await api.list(apiregistration.APIService)).items}
    for group, version in {(one.group, one.version) for one in resources.served()}:
        one = found[f"{version}.{group}"]
        assert [(c.type, c.status, c.reason) for c in one.status.conditions] == [("Available", "True", "Local")]


async def test_a_custom_resource_is_registered_as_long_as_it_is_served(api: Api, rest: Rest) -> None:
    group = f"g{secrets.token_hex(3)}.example.com"
    names = {"plural": "rafts", "singular": "raft", "kind": "Raft", "listKind": "RaftList"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"rafts.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }  # fmt: skip
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await asyncio.to_thread(rest.json, "POST", path, definition)
    assert made[0] == 201, made
    found = await condition(api, group, status="True")
    assert found.reason == "Local"
    await asyncio.to_thread(rest.json, "DELETE", f"{path}/rafts.{group}")
    deadline = time.monotonic() + PATIENCE_S
    with pytest.raises(errors.NotFound):
        while time.monotonic() < deadline:
            await api.get(apiregistration.APIService, f"v1beta1.{group}", "")
            await asyncio.sleep(0.1)


@pytest.mark.kubectl
def test_kubectl_lists_registrations(server: ApiServerProcess, tmp_path: Path) -> None:
    lines = Kubectl(kubeconfig(server, tmp_path), tmp_path)("get", "apiservices").splitlines()
    assert lines[0].split() == ["NAME", "SERVICE", "AVAILABLE", "AGE"]
    assert {tuple(line.split()[:3]) for line in lines[1:]} >= {("v1.", "Local", "True"), ("v1.apps", "Local", "True")}


async def test_a_registered_server_is_asked_in_the_callers_name(
    server: ApiServerProcess, api: Api, rest: Rest, other: Other
) -> None:
    await registered(api, rest, other)
    status, headers, body = await asyncio.to_thread(
        rest.raw, "GET", f"{other.path}/namespaces/default/rafts/r?limit=5&x=%20y",
        headers={"X-Remote-User": "mallory", "Authorization": "Bearer secret", "Accept": "application/json"},
    )  # fmt: skip
    assert (status, json.loads(body)["kind"]) == (200, "Raft")
    assert headers["warning"] == '299 - "from the other"'
    _, path, got = other.asked[-1]
    assert path == f"{other.path}/namespaces/default/rafts/r?limit=5&x=+y"
    assert got["x-remote-user"] == ["kubernetes-admin"]
    assert got["x-remote-group"] == ["system:masters", "system:authenticated"]
    assert "authorization" not in got
    status, answer = await asyncio.to_thread(
        rest.json, "POST", f"{other.path}/namespaces/default/rafts", {"a": 1}
    )  # fmt: skip
    assert (status, answer) == (201, {"took": {"a": 1}, "as": "kubernetes-admin"})


async def test_what_it_serves_is_in_discovery_and_openapi(api: Api, rest: Rest, other: Other) -> None:
    await registered(api, rest, other)

    def look() -> None:
        _, groups = rest.json("GET", "/apis")
        assert other.group in {one["name"] for one in groups["groups"]}
        form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        _, found = rest.json("GET", "/apis", headers={"Accept": form})
        mine = next(one for one in found["items"] if one["metadata"]["name"] == other.group)["versions"][0]
        assert (mine["version"], mine["freshness"]) == ("v1beta1", "Current")
        assert [(one["resource"], one["shortNames"]) for one in mine["resources"]] == [("rafts", ["rf"])]
        _, index = rest.json("GET", "/openapi/v3")
        url = index["paths"][other.path.removeprefix("/")]["serverRelativeURL"]
        assert "example.Raft" in rest.json("GET", url)[1]["components"]["schemas"]
        assert "example.Raft" in rest.json("GET", "/openapi/v2")[1]["definitions"]

    await asyncio.to_thread(look)


async def test_a_watch_comes_through_as_it_happens(api: Api, rest: Rest, other: Other) -> None:
    await registered(api, rest, other)
    _, headers, body = await asyncio.to_thread(rest.raw, "GET", f"{other.path}/rafts", watch="true")
    assert headers["transfer-encoding"] == "chunked"
    assert [json.loads(line)["object"]["n"] for line in body.splitlines()] == [0, 1, 2]


async def test_an_upgraded_connection_goes_both_ways(
    server: ApiServerProcess, api: Api, rest: Rest, other: Other
) -> None:
    await registered(api, rest, other)
    context = ssl.create_default_context(cafile=server.authority.ca)
    context.check_hostname = False
    context.load_cert_chain(*server.authority.issue("kubernetes-admin", groups=("system:masters",)))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    head = f"GET {other.path}/rafts/r/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(6) == b"first "
        for word in (b"hello", b"x" * 300_000):
            writer.write(word + b"\n")
            assert await reader.readexactly(len(word) + 1) == word.upper() + b"\n"
    writer.close()


async def test_who_may_not_is_told_here(server: ApiServerProcess, api: Api, rest: Rest, other: Other) -> None:
    await registered(api, rest, other)
    user = Rest(server, name="jane", groups=())
    try:
        asked = len(other.asked)
        status, answer = await asyncio.to_thread(user.json, "GET", f"{other.path}/namespaces/default/rafts")
        assert (status, answer["reason"]) == (403, "Forbidden")
        assert f'cannot list resource "rafts" in API group "{other.group}"' in answer["message"]
        assert not [path for _, path, _ in other.asked[asked:] if path.endswith("/rafts")]
    finally:
        user.close()


async def test_a_server_that_is_not_there_is_unavailable_and_its_requests_are_503(
    api: Api, rest: Rest, other: Other
) -> None:
    body = other.registration(service={"namespace": other.namespace, "name": "nobody"})
    assert (await asyncio.to_thread(rest.json, "POST", "/apis/apiregistration.k8s.io/v1/apiservices", body))[0] == 201
    found = await condition(api, other.group, status="False")
    assert (found.type, found.reason) == ("Available", "ServiceNotFound")
    _, _, metrics = await asyncio.to_thread(rest.raw, "GET", "/metrics")
    assert f'aggregator_unavailable_apiservice{{name="v1beta1.{other.group}"}} 1.0'.encode() in metrics
    status, answer = await asyncio.to_thread(rest.json, "GET", f"{other.path}/rafts")
    assert (status, answer["reason"]) == (503, "ServiceUnavailable")
    # Once it is there, that is noticed.
    service = core.Service()
    service.metadata.namespace, service.metadata.name = other.namespace, "nobody"
    service.spec.type, service.spec.external_name = "ExternalName", "localhost"
    await api.create(service)
    # Nothing listens on port 443, or nothing of that name.
    deadline = time.monotonic() + PATIENCE_S
    while (await condition(api, other.group, status="False")).reason != "FailedDiscoveryCheck":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_a_certificate_of_another_authority_is_not_believed(
    api: Api, rest: Rest, other: Other, server: ApiServerProcess
) -> None:
    wrong = base64.b64encode(server.authority.ca_pem).decode()
    body = other.registration(caBundle=wrong)
    assert (await asyncio.to_thread(rest.json, "POST", "/apis/apiregistration.k8s.io/v1/apiservices", body))[0] == 201
    found = await condition(api, other.group, status="False")
    assert found.reason == "FailedDiscoveryCheck"
    assert "certificate verify failed" in found.message


async def test_a_server_whose_certificate_does_not_matter_is_asked(api: Api, rest: Rest, other: Other) -> None:
    await registered(api, rest, other, caBundle=None, insecureSkipTLSVerify=True)


async def test_registrations_are_checked(api: Api) -> None:
    async def refused(**spec: Any) -> dict[str, str]:
        made = apiregistration.APIService()
        made.metadata.name = "v1.example.com"
        made.spec.group, made.spec.version = "example.com", "v1"
        made.spec.group_priority_minimum = made.spec.version_priority = 1
        for name, value in spec.items():
            if name == "service":
                made.spec.service.CopyFrom(value)
            else:
                setattr(made.spec, name, value)
        return await causes_of(api.create(made))

    assert set(await refused(group="other.com")) == {"metadata.name"}
    assert set(await refused(group_priority_minimum=0, version_priority=1001)) == {
        "spec.groupPriorityMinimum", "spec.versionPriority",
    }  # fmt: skip
    assert set(await refused(ca_bundle=b"x", insecure_skip_tls_verify=True)) == {
        "spec.caBundle", "spec.insecureSkipTLSVerify",
    }  # fmt: skip
    reference = apiregistration.ServiceReference(port=70000)
    assert set(await refused(service=reference)) == {
        "spec.service.namespace", "spec.service.name", "spec.service.port",
    }  # fmt: skip
    reference = apiregistration.ServiceReference(namespace="a", name="b")
    assert set(await refused(service=reference, ca_bundle=b"no certificate")) == {"spec.caBundle"}


# -- the front proxy's word


async def test_a_front_proxy_says_whom_a_request_is_from(server: ApiServerProcess, folder: Path) -> None:
    def review(name: str, headers: dict[str, str]) -> tuple[int, Any]:
        proxies = front_proxies(folder)
        client = Rest(server, name="")
        context = ssl.create_default_context(cafile=server.authority.ca)
        context.check_hostname = False
        context.load_cert_chain(*proxies.issue(name, groups=("system:masters",), file=f"{name}-test"))
        client.connection = type(client.connection)("127.0.0.1", server.port, context=context, timeout=30)
        try:
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            return client.json("POST", path, body, headers={"Content-Type": "application/json", **headers})
        finally:
            client.close()

    said = {"X-Remote-User": "jane", "X-Remote-Group": "devs", "X-Remote-Extra-Acme%2Fteam": "a"}
    status, answer = await asyncio.to_thread(review, "front-proxy-client", said)
    assert status == 201
    assert answer["status"]["userInfo"] == {
        "username": "jane", "groups": ["devs", "system:authenticated"], "extra": {"acme/team": ["a"]},
    }  # fmt: skip
    # Without a word it is nobody, whatever its certificate says; and so is one whose name is not allowed.
    for name, headers in (("front-proxy-client", {}), ("somebody", said)):
        status, answer = await asyncio.to_thread(review, name, headers)
        assert status == 401, answer


async def test_a_clients_own_word_counts_for_nothing(server: ApiServerProcess) -> None:
    client = Rest(server, name="jane", groups=())
    try:
        headers = {"X-Remote-User": "root", "X-Remote-Group": "system:masters"}
        status, answer = await asyncio.to_thread(client.json, "GET", "/api/v1/secrets", headers=headers)
        assert status == 403
        assert 'User "jane"' in answer["message"]
    finally:
        client.close()


async def test_aggregated_servers_learn_whom_to_believe(api: Api) -> None:
    found = await api.get(core.ConfigMap, "extension-apiserver-authentication", "kube-system")
    assert found.data["client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
    assert json.loads(found.data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(found.data["requestheader-username-headers"]) == ["X-Remote-User"]


def test_a_user_survives_headers() -> None:
    user = User("jane doe", ("a", "b,c", "system:authenticated"), "7", {"acme.com/x y": ("1", "2"), "k": ("",)})
    headers = [(name.lower(), value) for name, value in requestheader.saying(user)]
    found = requestheader.told(headers)
    assert found is not None
    assert (found.name, found.groups, found.uid, found.extra) == (user.name, user.groups, user.uid, user.extra)
    assert requestheader.told([("x-remote-group", "system:masters")]) is None


# -- endpoints


def caches() -> tuple[backends.Backends, KindCache, KindCache]:
    from raftsman.services.apiserver.declarations import table

    kinds = table()
    found = {name: KindCache(kinds[name]) for name in ("services", "endpointslices.discovery.k8s.io")}
    return backends.Backends(found), *found.values()  # type: ignore[return-value]


def put(cache: KindCache, obj: Any) -> None:
    one = CachedObject(cache.kind, obj.metadata.namespace, obj.metadata.name, obj.SerializeToString(), 1)
    cache.apply(obj.metadata.namespace, obj.metadata.name, one, revision=1)


def test_only_ready_endpoints_of_the_port_are_asked() -> None:
    found, services, slices = caches()
    with pytest.raises(backends.Missing) as missing:
        found.addresses("n", "s", 443)
    assert missing.value.reason == "ServiceNotFound"
    service = core.Service()
    service.metadata.namespace, service.metadata.name = "n", "s"
    service.spec.ports.add(name="https", port=443)
    service.spec.ports.add(name="other", port=80)
    put(services, service)
    with pytest.raises(backends.Missing) as missing:
        found.addresses("n", "s", 1)
    assert missing.value.reason == "ServicePortError"
    with pytest.raises(backends.Missing) as missing:
        found.addresses("n", "s", 443)
    assert missing.value.reason == "MissingEndpoints"
    one = discovery.EndpointSlice(address_type="IPv4")
    one.metadata.namespace, one.metadata.name = "n", "s-1"
    one.metadata.labels["kubernetes.io/service-name"] = "s"
    one.ports.add(name="other", port=8080)
    one.ports.add(name="https", port=8443)
    one.endpoints.add(addresses=["10.0.0.1"]).conditions.ready = True
    one.endpoints.add(addresses=["10.0.0.2"]).conditions.ready = False
    one.endpoints.add(addresses=["10.0.0.3"])
    put(slices, one)
    assert sorted(found.addresses("n", "s", 443)) == [("10.0.0.1", 8443), ("10.0.0.3", 8443)]
