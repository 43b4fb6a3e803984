"""Where a service of the cluster is, and how to be sure that it is that one.

The API server looks at the service and its endpoint slices in its own cache: it needs no node's service addresses. A
server's certificate is of the name SERVICE.NAMESPACE.svc, signed by the authority given.
"""

from __future__ import annotations

import functools
import random
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver.watchcache import selection
from raftsman.services.apiserver.watchcache.kind_cache import KindCache

CONTEXTS_MAX = 64
_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Identity:
    """How a server is known, and what it knows the API server by. Without an authority, the machine's are asked."""

    authority: bytes = b""
    insecure: bool = False
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Missing(Exception):
    """Why a service cannot be reached: one word for a condition's reason, and a sentence."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


class Backends:
    """The services and endpoints of the cluster, as the cache has them."""

    def __init__(self, caches: dict[str, KindCache]) -> None:
        self._services = caches["services"]
        self._slices = caches["endpointslices.discovery.k8s.io"]

    def addresses(self, namespace: str, name: str, port: int) -> list[tuple[str, int]]:
        """(host, port) of each ready endpoint of a service's port, in random order. Raises Missing."""
        found = self._services.get(namespace, name)
        if found is None:
            raise Missing("ServiceNotFound", f'service/{name} in "{namespace}" is not present')
        service: core.Service = found.parsed()
        if service.spec.type == "ExternalName":
            return [(service.spec.external_name, port)]
        named = next((one for one in service.spec.ports if one.port == port), None)
        if named is None:
            why = f'service/{name} in "{namespace}" is not listening on port {port}'
            raise Missing("ServicePortError", why)
        ready = list(self._ready(namespace, name, named.name))
        if not ready:
            why = f'endpoints for service/{name} in "{namespace}" have no addresses with port name "{named.name}"'
            raise Missing("MissingEndpoints", why)
        random.shuffle(ready)
        return ready

    def _ready(self, namespace: str, name: str, port_name: str) -> Iterator[tuple[str, int]]:
        selected = selection.parse(
            self._slices.kind, namespace, label_selector=f"{_SERVICE_NAME}={name}", field_selector=""
        )
        for found in self._slices.select(selected):
            endpoint_slice = found.parsed()
            ports = [one.port for one in endpoint_slice.ports if one.name == port_name]
            for endpoint in endpoint_slice.endpoints:
                ready = endpoint.conditions.ready or not endpoint.conditions.HasField("ready")
                if ports and endpoint.addresses and ready:
                    yield endpoint.addresses[0], ports[0]


@functools.lru_cache(maxsize=CONTEXTS_MAX)
def context(identity: Identity) -> ssl.SSLContext:
    """errors.Unavailable if the authority is no certificate."""
    try:
        made = ssl.create_default_context(cadata=identity.authority.decode() if identity.authority else None)
        if identity.insecure:
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        if identity.certificate:
            made.load_cert_chain(identity.certificate, identity.key)
    except (OSError, ValueError) as error:
        raise errors.Unavailable(f"the certificates for a call cannot be loaded: {error}") from None
    return made
