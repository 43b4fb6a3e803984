"""The cluster addresses of services are there as objects, as long as the services are."""

from __future__ import annotations

from typing import Any

from raftsman import Client
from raftsman.core import v1 as core
from raftsman.networking import v1 as networking
from raftsman.services.controllers import service_addresses
from raftsman.services.controllers.service_addresses import Plan, ServiceAddressController, decide, wanted

from .running import eventually, running


def a_service(name: str = "web", *addresses: str, type_: str = "ClusterIP") -> core.Service:
    found = core.Service()
    found.metadata.namespace, found.metadata.name = "default", name
    found.spec.type = type_
    found.spec.cluster_ips.extend(addresses or ("10.96.0.7",))
    return found


def test_an_address_follows_its_service() -> None:
    service = a_service()
    assert decide("10.96.0.7", [service], None) is Plan.CREATE
    assert decide("10.96.0.7", [service], wanted("10.96.0.7", service)) is Plan.NOTHING
    assert decide("10.96.0.7", [a_service("other")], wanted("10.96.0.7", service)) is Plan.DELETE
    assert decide("10.96.0.7", [], wanted("10.96.0.7", service)) is Plan.DELETE
    assert decide("10.96.0.7", [], None) is Plan.NOTHING


def test_what_somebody_else_made_is_left_alone() -> None:
    theirs = networking.IPAddress()
    theirs.metadata.name = "10.96.0.7"
    assert decide("10.96.0.7", [a_service()], theirs) is Plan.NOTHING


def test_headless_and_external_services_have_none() -> None:
    assert service_addresses.addresses(a_service("a", "None")) == []
    assert service_addresses.addresses(a_service("a", "10.0.0.1", type_="ExternalName")) == []
    assert service_addresses.addresses(a_service("a", "FD00::1")) == ["fd00::1"]


async def test_they_come_go_and_come_back(fake_api: Any) -> None:
    def there() -> Any:
        return fake_api.find(networking.IPAddress, "10.96.0.7")

    async with running(fake_api, ServiceAddressController()):
        await fake_api.put(a_service())
        await eventually(there)
        assert there().spec.parent_ref.name == "web"
        await fake_api.remove(there())
        await eventually(there)
        await fake_api.remove(fake_api.find(core.Service, "web", "default"))
        await eventually(lambda: not there())


async def test_the_clusters_own_services_have_theirs(client: Client) -> None:
    found = await client.wait(networking.IPAddress, "10.96.0.1", lambda one: one is not None, timeout_s=30)
    assert found is not None
    parent = found.spec.parent_ref
    assert (parent.resource, parent.namespace, parent.name) == ("services", "default", "kubernetes")
