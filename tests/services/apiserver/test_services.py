"""Service addresses and node ports: given out once, given back, kept."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.meta import v1 as meta

from .cluster import Api, ApiServerProcess

RANGE = ipaddress.ip_network("10.96.0.0/16")


def a_service(namespace: str, name: str, **spec: object) -> core.Service:
    service = core.Service(spec=core.ServiceSpec(**spec))
    service.metadata.namespace, service.metadata.name = namespace, name
    service.spec.ports.add(port=80)
    return service


async def test_a_service_gets_an_address_and_its_defaults(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web"))
    assert ipaddress.ip_address(made.spec.cluster_ip) in RANGE
    assert list(made.spec.cluster_ips) == [made.spec.cluster_ip]
    assert (made.spec.type, list(made.spec.ip_families), made.spec.ip_family_policy) == (
        "ClusterIP", ["IPv4"], "SingleStack",
    )  # fmt: skip
    assert made.spec.ports[0].target_port.int_val == 80


async def test_two_servers_never_give_out_one_address_twice(api: Api, second: Api, namespace: str) -> None:
    servers = (api, second)
    wanted = [a_service(namespace, f"s{number}", type="NodePort") for number in range(60)]
    made = await asyncio.gather(*(servers[i % 2].create(one) for i, one in enumerate(wanted)))
    assert len({one.spec.cluster_ip for one in made}) == 60
    assert len({one.spec.ports[0].node_port for one in made}) == 60
    assert all(30000 <= one.spec.ports[0].node_port <= 32767 for one in made)


async def test_one_address_is_won_by_one_of_two_servers(api: Api, second: Api, namespace: str) -> None:
    for number in range(5):
        address = f"10.96.77.{number + 1}"
        outcomes = await asyncio.gather(
            api.create(a_service(namespace, f"a{number}", cluster_ip=address)),
            second.create(a_service(namespace, f"b{number}", cluster_ip=address)),
            return_exceptions=True,
        )
        failed = [one for one in outcomes if isinstance(one, errors.Invalid)]
        assert len(failed) == 1
        assert "provided IP is already allocated" in failed[0].message


async def test_a_deleted_service_gives_its_address_back(api: Api, namespace: str) -> None:
    await api.create(a_service(namespace, "a", cluster_ip="10.96.78.1"))
    with pytest.raises(errors.Invalid, match="provided IP is already allocated"):
        await api.create(a_service(namespace, "b", cluster_ip="10.96.78.1"))
    await api.delete(core.Service, "a", namespace)
    await api.create(a_service(namespace, "b", cluster_ip="10.96.78.1"))


async def test_an_address_outside_the_range_is_refused(api: Api, namespace: str) -> None:
    with pytest.raises(errors.Invalid, match="is not in the valid range"):
        await api.create(a_service(namespace, "a", cluster_ip="10.97.0.1"))


async def test_a_headless_service_has_no_address(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web", cluster_ip="None"))
    assert (made.spec.cluster_ip, list(made.spec.cluster_ips)) == ("None", ["None"])


async def test_an_address_stays_over_updates_and_does_not_change(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web", type="NodePort"))
    bare = a_service(namespace, "web", type="NodePort")
    bare.spec.selector["app"] = "web"
    after = await api.update(bare)
    assert after.spec.cluster_ip == made.spec.cluster_ip
    assert after.spec.ports[0].node_port == made.spec.ports[0].node_port
    after.spec.cluster_ip = "10.96.99.9"
    del after.spec.cluster_ips[:]
    after.spec.cluster_ips.append("10.96.99.9")
    with pytest.raises(errors.Invalid, match="may not change once set"):
        await api.update(after)


async def test_a_node_port_is_given_back_when_the_type_changes(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web", type="NodePort"))
    port = made.spec.ports[0].node_port
    made.spec.type = "ClusterIP"
    assert (await api.update(made)).spec.ports[0].node_port == 0
    other = a_service(namespace, "other", type="NodePort")
    other.spec.ports[0].node_port = port
    assert (await api.create(other)).spec.ports[0].node_port == port


async def test_the_cluster_own_services_are_there_from_the_start(api: Api, server: ApiServerProcess) -> None:
    own = await api.get(core.Service, "kubernetes")
    assert (own.spec.cluster_ip, own.spec.ports[0].target_port.int_val) == ("10.96.0.1", server.port)
    assert (await api.get(core.Service, "kube-dns", "kube-system")).spec.cluster_ip == "10.96.0.10"
    found = await api.get(discovery.EndpointSlice, "kubernetes")
    assert list(found.endpoints[0].addresses) == ["127.0.0.1"]


async def test_a_node_port_service_becomes_an_external_name(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web", type="NodePort"))
    made.spec.type, made.spec.external_name = "ExternalName", "db.example.com"
    after = (await api.update(made)).spec
    assert (after.cluster_ip, after.ports[0].node_port, after.external_traffic_policy) == ("", 0, "")


async def test_the_clusters_own_service_and_namespace_come_back(api: Api) -> None:
    await api.delete(core.Service, "kubernetes")
    await api.delete(core.Endpoints, "kubernetes")
    await api.delete(core.Namespace, "kube-node-lease", "")
    gone = await api.get(core.Namespace, "kube-node-lease", "")
    gone.spec.ClearField("finalizers")
    await api.of(core.Namespace, "Finalize", meta.WriteRequest(object=gone.SerializeToString()))
    async with asyncio.timeout(15):
        for kind, name in (
            (core.Service, "kubernetes"),
            (core.Endpoints, "kubernetes"),
            (core.Namespace, "kube-node-lease"),
        ):
            while True:
                try:
                    await api.get(kind, name)
                    break
                except errors.NotFound:
                    await asyncio.sleep(0.1)


async def test_more_node_ports_than_fit_a_transaction_are_refused_and_as_many_as_fit_change(
    api: Api, namespace: str
) -> None:
    service = a_service(namespace, "web", type="NodePort")
    service.spec.ClearField("ports")
    for number in range(61):
        service.spec.ports.add(port=number + 1, name=f"p{number}")
    with pytest.raises(errors.Invalid, match=r"spec.ports: Too many: 61"):
        await api.create(service)
    del service.spec.ports[60:]
    made = await api.create(service)
    for port in made.spec.ports:
        port.port += 100
        port.ClearField("node_port")
    await api.update(made)


async def test_a_changed_address_is_one_mistake_and_a_missing_one_none(api: Api, namespace: str) -> None:
    made = await api.create(a_service(namespace, "web"))
    with pytest.raises(errors.ImmutableField) as caught:
        await api.patch(core.Service, "web", b'{"spec": {"clusterIP": "10.96.9.9"}}', namespace=namespace)
    assert [cause.field for cause in caught.value.causes] == ["spec.clusterIPs[0]"]
    after = await api.patch(core.Service, "web", b'{"spec": {"clusterIP": null}}', namespace=namespace)
    assert after.spec.cluster_ip == made.spec.cluster_ip


async def test_a_balanced_service_has_node_ports_and_waits_for_an_address(api: Api, namespace: str) -> None:
    service = core.Service()
    service.metadata.name, service.metadata.namespace = "web", namespace
    service.spec.type = "LoadBalancer"
    service.spec.ports.add(port=80)
    service.spec.load_balancer_source_ranges.append("10.0.0.0/8")
    service.spec.load_balancer_class = "example.com/lb"
    made = await api.create(service)
    assert made.spec.allocate_load_balancer_node_ports
    assert made.spec.ports[0].node_port
    made.spec.load_balancer_class = "example.com/other"
    with pytest.raises(errors.Invalid, match="may not change once set"):
        await api.update(made)
    made.spec.load_balancer_class = "example.com/lb"
    made.spec.type = "ClusterIP"
    made = await api.update(made)
    assert not made.spec.ports[0].node_port
    assert not made.spec.HasField("load_balancer_class")


async def test_a_balanced_service_may_do_without_node_ports(api: Api, namespace: str) -> None:
    service = core.Service()
    service.metadata.name, service.metadata.namespace = "web", namespace
    service.spec.type = "LoadBalancer"
    service.spec.allocate_load_balancer_node_ports = False
    service.spec.ports.add(port=80)
    assert not (await api.create(service)).spec.ports[0].node_port
