"""HTTP through the server to a pod or a service: `/api/v1/namespaces/NS/pods/[SCHEME:]NAME[:PORT]/proxy/PATH`.

The request goes to the pod's address, or to that of one of the service's endpoints, without the client's credentials,
and what comes back is passed on as it comes. Certificates of pods are not verified: nobody could know them. An upgraded
connection's bytes go both ways untouched.
"""

from __future__ import annotations

import functools
import ipaddress
import random
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.aggregation import proxy
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.outbound import http
from raftsman.services.apiserver.verbs import read

from .http import Exchange, Request

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means. `named` is the part with the name as it stands there."""

    resource: str
    namespace: str
    named: str
    path: str

    def parsed(self) -> tuple[str, str, str]:
        """Scheme, name, port. errors.BadRequest."""
        parts = self.named.split(":")
        if len(parts) == 1:
            return "http", parts[0], ""
        if len(parts) == 2:
            return "http", parts[0], parts[1]
        if len(parts) == 3 and parts[0] in (*_SCHEMES, "") and parts[1]:
            return parts[0] or "http", parts[1], parts[2]
        raise errors.BadRequest(f'invalid {self.resource.removesuffix("s")} request "{self.named}"')


def place(path: str) -> Place | None:
    """None for a path that is no proxy's."""
    parts = path.split("/")
    if parts[:5] == ["", "api", "v1", "nodes", *parts[4:5]] and parts[5:6] == ["proxy"]:
        return Place("nodes", "", parts[4], "/" + "/".join(parts[6:]))
    if len(parts) < 8 or parts[:4] != ["", "api", "v1", "namespaces"] or parts[7] != "proxy":
        return None
    if parts[5] not in ("pods", "services") or not parts[4] or not parts[6]:
        return None
    return Place(parts[5], parts[4], parts[6], "/" + "/".join(parts[8:]))


async def serve(api: Api, user: User, request: Request, exchange: Exchange, there: Place) -> None:
    """errors.Forbidden, NotFound, Unavailable."""
    kind = api.kinds[there.resource]
    verb = _VERBS.get(request.method)
    if verb is None:
        raise errors.MethodNotSupported(f"{request.method} is not passed on")
    api.allow(user, verb, kind, namespace=there.namespace, name=there.named, subresource="proxy")
    if there.resource == "nodes":
        raise errors.MethodNotSupported(
            "nodes/proxy is not served: the node agent speaks gRPC with this server, and no HTTP. Logs, exec, attach "
            "and port-forward are subresources of pods"
        )
    scheme, name, port = there.parsed()
    found = await read.fetch(api, kind, meta.GetRequest(namespace=there.namespace, name=name))
    obj = found.parsed()
    address = _of_pod(obj, port) if there.resource == "pods" else _of_service(api, obj, port)
    if not _may_be_reached(address[0]):
        raise errors.BadRequest(f"address not allowed: {address[0]}")
    target = quote(there.path, safe="/:@!$&'()*+,;=~-._%")
    if request.query:
        target += "?" + urlencode([(key, one) for key, values in request.query.items() for one in values])
    question = http.Question(request.method, target, proxy.passed_on(request), request.body)
    tls = _anyone() if scheme == "https" else None
    async with http.asked([address], question, tls=tls, name=name) as answer:
        if answer.status == 101:
            return await proxy.both_ways(answer, exchange)
        return await proxy.back(answer, exchange)


def _of_pod(pod: core.Pod, port: str) -> tuple[str, int]:
    if not pod.status.pod_ip:
        raise errors.Unavailable(f"pod {pod.metadata.name} has no address yet")
    ports = [one for container in pod.spec.containers for one in container.ports]
    if not port:
        return pod.status.pod_ip, ports[0].container_port if ports else 80
    named = next((one.container_port for one in ports if one.name == port), None)
    return pod.status.pod_ip, _number(port) if named is None else named


def _of_service(api: Api, service: core.Service, port: str) -> tuple[str, int]:
    """An endpoint that is ready, by the service's port of that name or number; without one, by its only port."""
    name = service.metadata.name
    wanted = next((one for one in service.spec.ports if port in (one.name, str(one.port))), None)
    if wanted is None and not port and len(service.spec.ports) == 1:
        wanted = service.spec.ports[0]
    if wanted is None:
        raise errors.BadRequest(f'service "{name}" has no port "{port}"')
    found = api.cache(api.kinds["endpoints"]).get(service.metadata.namespace, name)
    endpoints: Any = found.parsed() if found is not None else core.Endpoints()
    ready = [
        (address.ip, one.port)
        for subset in endpoints.subsets
        for one in subset.ports
        if one.name == wanted.name
        for address in subset.addresses
    ]
    if not ready:
        raise errors.Unavailable(f'no endpoints available for service "{name}"')
    return random.choice(ready)


def _number(port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 1 << 16):
        raise errors.BadRequest(f'"{port[:40]}" is neither the name of a port nor a number between 1 and 65535')
    return int(port)


def _may_be_reached(address: str) -> bool:
    """Whatever a pod's status says, this server's own loopback and the links' own addresses are not for clients."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


@functools.cache
def _anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
