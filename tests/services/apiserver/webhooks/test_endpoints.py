"""Where a service of a webhook is, by what the cache knows."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.services.apiserver.declarations import table
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.watchcache.object import CachedObject
from raftsman.services.apiserver.webhooks.endpoints import SLICES, Services, Unreachable

KINDS = table()


def services(*objects: Any) -> Services:
    caches = {name: KindCache(KINDS[name]) for name in ("services", SLICES)}
    for name, cache in caches.items():
        kind = KINDS[name]
        found = [one for one in objects if isinstance(one, kind.message)]
        cache.replace(
            [CachedObject(kind, "x", one.metadata.name, kind.form.serialise(one), 1) for one in found], revision=1
        )
    return Services(caches)


def a_service() -> core.Service:
    service = core.Service()
    service.metadata.namespace, service.metadata.name = "x", "hook"
    service.spec.cluster_ip = "10.96.0.9"
    service.spec.ports.add(name="https", port=443)
    return service


def a_slice(*addresses: str, ready: bool = True, owner: str = "hook") -> discovery.EndpointSlice:
    found = discovery.EndpointSlice()
    found.metadata.namespace, found.metadata.name = "x", f"{owner}-{len(addresses)}-{ready}"
    found.metadata.labels["kubernetes.io/service-name"] = owner
    found.ports.add(name="https", port=8443)
    for address in addresses:
        found.endpoints.add(addresses=[address]).conditions.ready = ready
    return found


def test_ready_endpoints_of_the_port_are_found() -> None:
    known = services(a_service(), a_slice("10.0.0.1", "10.0.0.2"), a_slice("10.0.0.3", ready=False),
                     a_slice("10.0.0.4", "10.0.0.5", "10.0.0.6", owner="other"))  # fmt: skip
    assert sorted(known.addresses("x", "hook", 443)) == [("10.0.0.1", 8443), ("10.0.0.2", 8443)]


@pytest.mark.parametrize(
    ("name", "port", "why"),
    [("none", 443, "not found"), ("hook", 80, "no service port 80"), ("hook", 443, "no endpoints available")],
)
def test_why_there_is_nobody_to_ask(name: str, port: int, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        services(a_service()).addresses("x", name, port)
