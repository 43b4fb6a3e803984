"""Endpoints that people wrote reach those who read endpoint slices."""

from __future__ import annotations

from typing import Any

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.meta import v1 as meta
from raftsman.services.controllers.endpoints_mirror import EndpointsMirrorController, mirrored

from .running import eventually, quiet, running


def service(**spec: Any) -> core.Service:
    made = core.Service(metadata=meta.ObjectMeta(name="db", namespace="default", uid="s"))
    made.spec.CopyFrom(core.ServiceSpec(cluster_ip="10.96.0.20", **spec))
    made.spec.ports.add(name="sql", port=5432)
    return made


def endpoints(*addresses: str, not_ready: tuple[str, ...] = (), skip: bool = False) -> core.Endpoints:
    made = core.Endpoints(metadata=meta.ObjectMeta(name="db", namespace="default", uid="e"))
    if skip:
        made.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true"
    subset = made.subsets.add()
    subset.ports.add(name="sql", port=5432, protocol="TCP")
    for address in addresses:
        subset.addresses.add(ip=address)
    for address in not_ready:
        subset.not_ready_addresses.add(ip=address)
    return made


def test_a_subset_becomes_a_slice_that_says_who_is_ready() -> None:
    (made,) = mirrored(service(), endpoints("192.0.2.1", not_ready=("192.0.2.2",)))
    assert made.address_type == "IPv4"
    assert [(e.addresses[0], e.conditions.ready) for e in made.endpoints] == [("192.0.2.1", True), ("192.0.2.2", False)]
    assert (made.ports[0].name, made.ports[0].port) == ("sql", 5432)
    assert made.metadata.labels["kubernetes.io/service-name"] == "db"
    assert made.metadata.owner_references[0].uid == "e"


def test_families_and_large_numbers_have_slices_of_their_own() -> None:
    many = [f"10.0.{n // 200}.{n % 200 + 1}" for n in range(250)]
    made = mirrored(service(), endpoints("fd00::1", *many))
    assert [(s.address_type, len(s.endpoints)) for s in made] == [
        ("IPv4", 100),
        ("IPv4", 100),
        ("IPv4", 50),
        ("IPv6", 1),
    ]
    assert len({s.metadata.name for s in made}) == 4


def test_what_a_controller_keeps_or_somebody_excepts_is_left_alone() -> None:
    assert mirrored(service(selector={"app": "db"}), endpoints("192.0.2.1")) == []
    assert mirrored(service(), endpoints("192.0.2.1", skip=True)) == []
    assert mirrored(None, endpoints("192.0.2.1")) == []
    assert mirrored(service(), None) == []


async def test_slices_follow_their_endpoints(fake_api: Any) -> None:
    def slices() -> list[discovery.EndpointSlice]:
        return list(fake_api.all(discovery.EndpointSlice))

    async with running(fake_api, EndpointsMirrorController()):
        await fake_api.put(service())
        await fake_api.put(endpoints("192.0.2.1"))
        await eventually(lambda: len(slices()) == 1)
        await fake_api.put(endpoints("192.0.2.3"))
        await eventually(lambda: slices()[0].endpoints[0].addresses[0] == "192.0.2.3")
        await quiet(fake_api)
        await fake_api.remove(endpoints("192.0.2.3"))
        await eventually(lambda: not slices())
