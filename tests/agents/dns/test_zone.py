"""What the cluster's own names resolve to."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.dns import objects, wire
from raftsman.agents.dns.wire import Answer, Code, Type
from raftsman.agents.dns.zone import Host, Port, ServiceNames, Zone, read_target, reverse_network
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

HTTP = Port("http", "tcp", 80)


@pytest.fixture
def zone() -> Zone:
    return filled()


def filled() -> Zone:
    networks = (ipaddress.ip_network("10.96.0.0/16"), ipaddress.ip_network("10.244.0.0/16"))
    made = Zone("cluster.local", address="10.96.0.10", networks=networks)
    made.put(ServiceNames("default", "web", ("10.96.0.7",), (HTTP,)))
    hosts = (Host("db-0", "10.244.0.3", (Port("sql", "tcp", 5432),)), Host("10-244-0-4", "10.244.0.4"))
    made.put(ServiceNames("default", "db", hosts=hosts))
    made.put(ServiceNames("default", "empty"))
    made.put(ServiceNames("default", "outside", external_name="example.com"))
    made.put(ServiceNames("default", "inside", external_name="web.default.svc.cluster.local"))
    made.put(ServiceNames("default", "loop", external_name="loop.default.svc.cluster.local"))
    return made


def found(zone: Zone, name: str, kind: int = Type.A) -> Answer:
    answer = zone.lookup(name, kind)
    assert answer is not None
    return answer


def addresses(answer: Answer) -> list[str]:
    return [socket.inet_ntoa(record.data) for record in answer.records if record.type == Type.A]


def no_data(answer: Answer) -> bool:
    return answer.code is Code.OK and not answer.records and [record.type for record in answer.authority] == [Type.SOA]


def no_name(answer: Answer) -> bool:
    return answer.code is Code.NO_SUCH_NAME and [record.type for record in answer.authority] == [Type.SOA]


def test_a_service_resolves_to_its_address(zone: Zone) -> None:
    assert addresses(found(zone, "web.default.svc.cluster.local")) == ["10.96.0.7"]


def test_a_headless_service_resolves_to_its_endpoints_and_their_hostnames(zone: Zone) -> None:
    assert addresses(found(zone, "db.default.svc.cluster.local")) == ["10.244.0.3", "10.244.0.4"]
    assert addresses(found(zone, "db-0.db.default.svc.cluster.local")) == ["10.244.0.3"]
    assert addresses(found(zone, "10-244-0-4.db.default.svc.cluster.local")) == ["10.244.0.4"]
    assert no_name(found(zone, "db-1.db.default.svc.cluster.local"))


@pytest.mark.parametrize(
    "name",
    [
        "empty.default.svc.cluster.local",
        "default.svc.cluster.local",
        "svc.cluster.local",
        "cluster.local",
        "pod.cluster.local",
        "default.pod.cluster.local",
        "_tcp.web.default.svc.cluster.local",
        "0.96.10.in-addr.arpa",
    ],
)
def test_names_that_only_have_names_below_them_have_no_data(zone: Zone, name: str) -> None:
    assert no_data(found(zone, name))


def test_another_type_of_a_name_that_exists_is_no_data(zone: Zone) -> None:
    assert no_data(found(zone, "web.default.svc.cluster.local", Type.AAAA))
    assert no_data(found(zone, "7.0.96.10.in-addr.arpa", Type.A))


@pytest.mark.parametrize(
    "name",
    [
        "nope.default.svc.cluster.local",
        "web.nope.svc.cluster.local",
        "a.b.web.default.svc.cluster.local",
        "_udp.web.default.svc.cluster.local",
        "_https._tcp.web.default.svc.cluster.local",
        "nope.cluster.local",
        "1-2-3.default.pod.cluster.local",
        "9.0.96.10.in-addr.arpa",
        "google.com.cluster.local",
    ],
)
def test_names_that_do_not_exist_are_said_not_to(zone: Zone, name: str) -> None:
    assert no_name(found(zone, name))


@pytest.mark.parametrize(
    "name", ["example.com", "local", "xcluster.local", "1.1.168.192.in-addr.arpa", "10.in-addr.arpa", ""]
)
def test_names_outside_are_not_answered_here(zone: Zone, name: str) -> None:
    assert zone.lookup(name, Type.A) is None


def test_srv_names_port_and_target_and_brings_the_address_along(zone: Zone) -> None:
    answer = found(zone, "_http._tcp.web.default.svc.cluster.local", Type.SRV)
    assert [struct.unpack("!HHH", record.data[:6]) for record in answer.records] == [(0, 100, 80)]
    assert read_target(answer.records[0].data[6:]) == "web.default.svc.cluster.local"
    assert [record.name for record in answer.additional] == ["web.default.svc.cluster.local"]
    answer = found(zone, "_sql._tcp.db.default.svc.cluster.local", Type.SRV)
    assert read_target(answer.records[0].data[6:]) == "db-0.db.default.svc.cluster.local"


def test_reverse_names_lead_back(zone: Zone) -> None:
    answer = found(zone, "7.0.96.10.in-addr.arpa", Type.PTR)
    assert [read_target(record.data) for record in answer.records] == ["web.default.svc.cluster.local"]
    answer = found(zone, "3.0.244.10.in-addr.arpa", Type.PTR)
    assert [read_target(record.data) for record in answer.records] == ["db-0.db.default.svc.cluster.local"]


def test_pod_names_resolve_by_themselves(zone: Zone) -> None:
    assert addresses(found(zone, "10-244-0-3.default.pod.cluster.local")) == ["10.244.0.3"]


def test_external_names_are_aliases_followed_within_the_cluster(zone: Zone) -> None:
    outside = found(zone, "outside.default.svc.cluster.local")
    assert [read_target(record.data) for record in outside.records] == ["example.com"]
    inside = found(zone, "inside.default.svc.cluster.local")
    assert [record.type for record in inside.records] == [Type.CNAME, Type.A]
    assert addresses(inside) == ["10.96.0.7"]
    assert len(found(zone, "loop.default.svc.cluster.local").records) <= 8


def test_a_removed_service_takes_its_names_along(zone: Zone) -> None:
    zone.remove("default", "web")
    assert no_name(found(zone, "web.default.svc.cluster.local"))
    assert no_name(found(zone, "7.0.96.10.in-addr.arpa", Type.PTR))
    for name in ("db", "empty", "outside", "inside", "loop"):
        zone.remove("default", name)
    assert no_name(found(zone, "default.svc.cluster.local"))


def test_a_changed_service_answers_as_it_is_now(zone: Zone) -> None:
    zone.put(ServiceNames("default", "web", ("10.96.0.8",)))
    assert addresses(found(zone, "web.default.svc.cluster.local")) == ["10.96.0.8"]
    assert no_name(found(zone, "7.0.96.10.in-addr.arpa", Type.PTR))


@given(
    st.lists(st.text(max_size=8), max_size=8).map(".".join), st.sampled_from(["", ".cluster.local", ".in-addr.arpa"])
)
def test_any_name_gets_an_answer_or_none(name: str, suffix: str) -> None:
    filled().lookup(name + suffix, Type.A)


@given(st.ip_addresses())
def test_the_reverse_name_of_an_address_stands_for_it(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    network = reverse_network(address.reverse_pointer)
    assert network is not None
    assert network.network_address == address
    assert network.prefixlen == network.max_prefixlen


def service(*, cluster_ip: str) -> core.Service:
    made = core.Service()
    made.metadata.namespace, made.metadata.name = "default", "db"
    made.spec.cluster_ip = cluster_ip
    made.spec.ports.add(name="sql", port=5432)
    return made


def test_only_ready_endpoints_of_headless_services_have_names() -> None:
    slice_ = discovery.EndpointSlice(address_type="IPv4")
    slice_.ports.add(name="sql", port=5432, protocol="TCP")
    slice_.endpoints.add(addresses=["10.244.0.3"], hostname="db-0")
    slice_.endpoints.add(addresses=["10.244.0.4"]).conditions.ready = True
    slice_.endpoints.add(addresses=["10.244.0.5"]).conditions.ready = False
    sql = (Port("sql", "tcp", 5432),)
    hosts = (Host("db-0", "10.244.0.3", sql), Host("10-244-0-4", "10.244.0.4", sql))
    assert objects.read(service(cluster_ip="None"), [slice_]) == ServiceNames("default", "db", hosts=hosts)
    named = objects.read(service(cluster_ip="10.96.0.9"), [slice_])
    assert named == ServiceNames("default", "db", ("10.96.0.9",), sql)


def test_an_external_name_that_no_message_can_carry_is_left_out() -> None:
    made = service(cluster_ip="")
    made.spec.type, made.spec.external_name = "ExternalName", "a..b"
    assert objects.read(made, []).external_name == ""
    made.spec.external_name = "Example.COM."
    assert objects.read(made, []).external_name == "example.com"


def test_the_serial_goes_up_with_every_change(zone: Zone) -> None:
    def serial() -> int:
        data = found(zone, "cluster.local", Type.SOA).records[0].data
        _, after = wire.read_name(data, 0)
        _, after = wire.read_name(data, after)
        number: int = struct.unpack_from("!I", data, after)[0]
        return number

    before = serial()
    zone.put(ServiceNames("default", "new"))
    assert serial() > before
