"""Reading API objects."""

from raftsman.agents.observed import Observed
from raftsman.agents.proxy import objects
from raftsman.agents.proxy.service import Backend, Protocol
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery


def service(*, cluster_ip: str = "10.96.0.7") -> core.Service:
    made = core.Service()
    made.metadata.namespace, made.metadata.name = "default", "web"
    made.spec.cluster_ip = cluster_ip
    made.spec.cluster_ips.append(cluster_ip)
    made.spec.ports.add(name="http", port=80, node_port=30080)
    return made


def endpoint_slice(*addresses: str, name: str = "web-1", port_name: str = "http") -> discovery.EndpointSlice:
    made = discovery.EndpointSlice(address_type="IPv4")
    made.metadata.namespace, made.metadata.name = "default", name
    made.metadata.labels["kubernetes.io/service-name"] = "web"
    made.ports.add(name=port_name, protocol="TCP", port=8080)
    for address in addresses:
        made.endpoints.add(addresses=[address], node_name="here")
    return made


def test_ports_meet_endpoints_by_name_over_several_slices() -> None:
    slices = [endpoint_slice("10.244.0.2"), endpoint_slice("10.244.0.3", name="web-2")]
    read = objects.read(service(), slices, node_name="here")
    assert read is not None
    assert read.ports[0].node_port == 30080
    found = read.endpoints["http", Protocol.TCP]
    assert [e.backend for e in found] == [Backend("10.244.0.2", 8080), Backend("10.244.0.3", 8080)]
    assert all(e.local and e.ready and e.serving and not e.terminating for e in found)


def test_conditions_that_are_absent_count_as_ready() -> None:
    made = endpoint_slice("10.244.0.2", "10.244.0.3")
    made.endpoints[1].conditions.ready = False
    read = objects.read(service(), [made], node_name="elsewhere")
    assert read is not None
    found = read.endpoints["http", Protocol.TCP]
    assert [(e.ready, e.serving, e.local) for e in found] == [(True, True, False), (False, False, False)]


def test_headless_and_external_name_services_have_nothing_to_program() -> None:
    assert objects.read(service(cluster_ip="None"), [], node_name="here") is None
    external = service()
    external.spec.type = "ExternalName"
    assert objects.read(external, [], node_name="here") is None


def test_policies_and_affinity_are_read() -> None:
    made = service()
    made.spec.session_affinity = "ClientIP"
    made.spec.internal_traffic_policy = made.spec.external_traffic_policy = "Local"
    read = objects.read(made, [], node_name="here")
    assert read is not None
    assert (read.affinity_timeout_s, read.internal_local, read.external_local) == (10800, True, True)


def test_load_balancer_addresses_are_taken_unless_source_ranges_ask_for_a_filter() -> None:
    made = service()
    made.spec.type = "LoadBalancer"
    made.status.load_balancer.ingress.add(ip="203.0.113.7")
    made.spec.external_ips.append("203.0.113.8")
    read = objects.read(made, [], node_name="here")
    assert read is not None
    assert read.external_ips == ("203.0.113.8", "203.0.113.7")
    made.spec.load_balancer_source_ranges.append("198.51.100.0/24")
    read = objects.read(made, [], node_name="here")
    assert read is not None
    assert read.external_ips == ("203.0.113.8",)
    assert list(objects.unsupported(made)) == [
        "spec.loadBalancerSourceRanges: load balancer addresses are not programmed rather than open to all"
    ]


def test_a_slice_that_moves_to_another_service_changes_both() -> None:
    observed = Observed()
    old = endpoint_slice("10.244.0.2")
    observed.endpoint_slice(None, old)
    observed.take()
    new = endpoint_slice("10.244.0.2")
    new.metadata.labels["kubernetes.io/service-name"] = "other"
    observed.endpoint_slice(old, new)
    taken = observed.take()
    assert {key: len(seen.slices) for key, seen in taken.items()} == {"default/web": 0, "default/other": 1}


def test_what_was_taken_is_not_taken_twice_unless_asked_again() -> None:
    observed = Observed()
    observed.service(None, service())
    taken = observed.take()
    assert observed.take() == {}
    observed.again(taken)
    assert observed.take().keys() == taken.keys()


def test_a_deleted_service_is_seen_as_none() -> None:
    observed = Observed()
    observed.service(None, service())
    observed.service(service(), None)
    assert observed.take()["default/web"].service is None
