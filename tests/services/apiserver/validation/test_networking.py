"""Ingresses, network policies, and the addresses of services: what Kubernetes refuses, in its words."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.networking import v1 as networking
from raftsman.services.apiserver.validation import addresses
from raftsman.services.apiserver.validation.causes import Causes

from tests.services.apiserver.strategies import changed, created, observed, wrong


def an_ingress(path: str, host: str = "a.example.com") -> str:
    return f"""
    apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata: {{name: web}}
    spec: {{rules: [{{host: "{host}", http: {{paths: [{path}]}}}}]}}
    """


SERVICE = "backend: {service: {name: web, port: {number: 80}}}"


def test_a_path_has_a_type_and_a_backend() -> None:
    at = "spec.rules[0].http.paths[0]"
    assert wrong(networking.Ingress, an_ingress(f"{{path: /, pathType: Prefix, {SERVICE}}}")) == {}
    assert wrong(networking.Ingress, an_ingress(f"{{path: /, {SERVICE}}}")) == {
        f"{at}.pathType": "Required value: pathType must be specified"
    }
    assert wrong(networking.Ingress, an_ingress("{path: /, pathType: Exact, backend: {}}")) == {
        f"{at}.backend": 'Invalid value: "": resource or service backend is required'
    }
    assert wrong(networking.Ingress, an_ingress(f"{{path: a//b, pathType: Exact, {SERVICE}}}")).keys() == {f"{at}.path"}
    assert wrong(networking.Ingress, an_ingress(f"{{pathType: Fuzzy, {SERVICE}}}")) == {
        f"{at}.pathType": ('Unsupported value: "Fuzzy": supported values: "Exact", "ImplementationSpecific", "Prefix"')
    }


@pytest.mark.parametrize(
    ("host", "right"),
    [("a.example.com", True), ("*.example.com", True), ("*", False), ("a.*.com", False), ("1.2.3.4", False)],
)
def test_a_host_is_a_name_or_one_star_before_one(host: str, right: bool) -> None:
    text = an_ingress(f"{{path: /, pathType: Prefix, {SERVICE}}}", host=host)
    assert (wrong(networking.Ingress, text) == {}) == right


def test_an_ingress_without_rules_and_backend_is_refused() -> None:
    text = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {}}"
    assert wrong(networking.Ingress, text) == {
        "spec": "Invalid value: null: either `defaultBackend` or `rules` must be specified"
    }


def test_a_port_of_a_backend_is_a_name_or_a_number() -> None:
    text = an_ingress("{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80, name: http}}}}")
    assert wrong(networking.Ingress, text) == {
        "spec.rules[0].http.paths[0].backend": 'Invalid value: "": cannot set both port name & port number'
    }


def test_what_an_ingress_is_reached_by_is_an_address_or_a_name() -> None:
    def reached(entry: str) -> str:
        return f"""
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {{name: web}}
        status: {{loadBalancer: {{ingress: [{entry}]}}}}
        """

    at = "status.loadBalancer.ingress[0]"
    assert observed(networking.Ingress, reached("{}"), reached("{ip: 010.0.0.1}")) == {
        f"{at}.ip": 'Invalid value: "010.0.0.1": must not have leading 0s'
    }
    # What was there may stay.
    assert observed(networking.Ingress, reached("{ip: 010.0.0.1}"), reached("{ip: 010.0.0.1}")) == {}
    assert observed(networking.Ingress, reached("{}"), reached("{hostname: 10.0.0.1}")) == {
        f"{at}.hostname": 'Invalid value: "10.0.0.1": must be a DNS name, not an IP address'
    }


def a_class(controller: str = "example.com/ingress", parameters: str = "") -> str:
    return f"""
    apiVersion: networking.k8s.io/v1
    kind: IngressClass
    metadata: {{name: web}}
    spec: {{controller: {controller}{", parameters: " + parameters if parameters else ""}}}
    """


def test_the_controller_of_a_class_stays() -> None:
    assert changed(networking.IngressClass, a_class(), a_class("example.com/other")) == {
        "spec.controller": 'Invalid value: "example.com/other": field is immutable'
    }
    assert wrong(networking.IngressClass, a_class("nothing")) == {
        "spec.controller": 'Invalid value: "nothing": must be a domain-prefixed path (such as "acme.io/foo")'
    }


def test_parameters_are_of_the_cluster_unless_they_say_where() -> None:
    found = created(networking.IngressClass, a_class(parameters="{kind: Config, name: a}"))
    assert found.spec.parameters.scope == "Cluster"
    assert wrong(networking.IngressClass, a_class(parameters="{kind: Config, name: a, scope: Namespace}")) == {
        "spec.parameters.namespace": "Required value: `parameters.scope` is set to 'Namespace'"
    }


def a_policy(rules: str) -> str:
    return f"""
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {{name: a}}
    spec: {{podSelector: {{}}, {rules}}}
    """


def test_a_policy_is_of_ingress_and_of_what_it_speaks_of() -> None:
    assert list(created(networking.NetworkPolicy, a_policy("ingress: []")).spec.policy_types) == ["Ingress"]
    found = created(networking.NetworkPolicy, a_policy("egress: [{ports: [{port: 53}]}]"))
    assert list(found.spec.policy_types) == ["Ingress", "Egress"]
    assert found.spec.egress[0].ports[0].protocol == "TCP"


def test_the_ports_and_peers_of_a_policy_are_checked() -> None:
    text = a_policy(
        "ingress: [{ports: [{port: 90, endPort: 80}, {port: web, endPort: 80}, {endPort: 1}, {protocol: ICMP}],"
        "from: [{}, {ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16, 10.1.0.0/16]}, podSelector: {}},"
        "{ipBlock: {cidr: 10.0.0.1/8}}]}]"
    )
    assert wrong(networking.NetworkPolicy, text) == {
        "spec.ingress[0].ports[0].endPort": "Invalid value: 80: must be greater than or equal to `port`",
        "spec.ingress[0].ports[1].endPort": "Invalid value: 80: may not be specified when `port` is non-numeric",
        "spec.ingress[0].ports[2].endPort": "Invalid value: 1: may not be specified when `port` is not specified",
        "spec.ingress[0].ports[3].protocol": ('Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'),
        "spec.ingress[0].from[0]": "Required value: must specify a peer",
        "spec.ingress[0].from[1]": "Forbidden: may not specify both ipBlock and another peer",
        "spec.ingress[0].from[1].ipBlock.except[0]": (
            'Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'
        ),
        "spec.ingress[0].from[2].ipBlock.cidr": (
            'Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length'
        ),
    }


def an_address(name: str, parent: str) -> str:
    return f"""
    apiVersion: networking.k8s.io/v1
    kind: IPAddress
    metadata: {{name: "{name}"}}
    spec: {{parentRef: {parent}}}
    """


def test_an_address_is_called_what_it_is() -> None:
    parent = "{resource: services, namespace: default, name: web}"
    assert wrong(networking.IPAddress, an_address("10.96.0.1", parent)) == {}
    assert wrong(networking.IPAddress, an_address("2001:db8::1", parent)) == {}
    assert wrong(networking.IPAddress, an_address("2001:DB8::1", parent)) == {
        "metadata.name": 'Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")'
    }
    assert wrong(networking.IPAddress, an_address("10.96.0.1", "{}")).keys() == {
        "spec.parentRef.resource", "spec.parentRef.name",
    }  # fmt: skip


def a_range(*cidrs: str) -> str:
    return f"""
    apiVersion: networking.k8s.io/v1
    kind: ServiceCIDR
    metadata: {{name: more}}
    spec: {{cidrs: {list(cidrs)}}}
    """


def test_a_range_of_services_may_only_get_a_second_family() -> None:
    four, six = "10.1.0.0/16", "fd00::/112"
    assert wrong(networking.ServiceCIDR, a_range(four, six)) == {}
    assert wrong(networking.ServiceCIDR, a_range()) == {"spec.cidrs": "Required value: at least one CIDR required"}
    assert wrong(networking.ServiceCIDR, a_range(four, "10.2.0.0/16")).keys() == {"spec.cidrs"}
    assert changed(networking.ServiceCIDR, a_range(four), a_range(four, six)) == {}
    assert changed(networking.ServiceCIDR, a_range(four), a_range("10.2.0.0/16")) == {
        "spec.cidrs[0]": 'Invalid value: "10.2.0.0/16": field is immutable'
    }
    assert changed(networking.ServiceCIDR, a_range(four, six), a_range(four)).keys() == {"spec.cidrs"}


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 32))
def test_every_address_and_network_is_known_in_its_canonical_form(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    assert bool(addresses.wrong_with_address(str(address))) == mapped
    network, causes = ipaddress.ip_network(f"{address}/{length}", strict=False), Causes()
    assert addresses.canonical_network(str(network), causes, path="x") == network
    assert not causes


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_addresses(text: str) -> None:
    causes = Causes()
    addresses.address(text, causes, path="x")
    addresses.canonical_network(text, causes, path="x")
