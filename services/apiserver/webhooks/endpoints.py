"""Where a webhook's service is: its ready endpoints, as the cache knows them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.selection import Selection

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
DEFAULT_PORT = 443


class Unreachable(Exception):
    """Why there is nobody to ask."""


class Services:
    """Reads services and endpoint slices out of the cache."""

    def __init__(self, caches: Mapping[str, KindCache]) -> None:
        self._services, self._slices = caches["services"], caches[SLICES]

    def addresses(self, namespace: str, name: str, port: int) -> list[tuple[str, int]]:
        """(host, port) of those who answer for a service's port, in random order. Unreachable if there are none."""
        found = self._services.get(namespace, name)
        if found is None:
            raise Unreachable(f'service "{name}" not found')
        service: core.Service = found.parsed()
        wanted = next((one for one in service.spec.ports if one.port == port), None)
        if wanted is None:
            raise Unreachable(f"no service port {port} found for service {name!r}")
        if service.spec.type == "ExternalName":
            return [(service.spec.external_name, port)]
        if not service.spec.selector and service.spec.cluster_ip in ("", "None"):
            raise Unreachable(f"service {name!r} has neither a selector nor an address")
        ready = self._ready(namespace, name, wanted.name)
        if not ready:
            raise Unreachable(f"no endpoints available for service {name!r}")
        random.shuffle(ready)
        return ready

    def _ready(self, namespace: str, name: str, port_name: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for cached in self._slices.select(Selection(namespace)):
            if cached.labels.get(SERVICE_LABEL) != name:
                continue
            endpoint_slice: discovery.EndpointSlice = cached.parsed()
            port = next((one.port for one in endpoint_slice.ports if one.name == port_name), 0)
            if port:
                found += [(one.addresses[0], port) for one in endpoint_slice.endpoints if _is_ready(one)]
        return found


def _is_ready(endpoint: Any) -> bool:
    conditions = endpoint.conditions
    return bool(endpoint.addresses) and (conditions.ready or not conditions.HasField("ready"))
