"""Endpoints and endpoint slices: what traffic may be led to."""

from __future__ import annotations

import pytest
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.rbac import v1 as rbac

from tests.services.apiserver.strategies import changed, wrong


def endpoints(subset: str, name: str = "web") -> str:
    return f"{{apiVersion: v1, kind: Endpoints, metadata: {{name: {name}}}, subsets: [{subset}]}}"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "may not be unspecified (0.0.0.0 or ::)"),
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.0.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("web", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_traffic_is_not_led_astray(address: str, why: str) -> None:
    text = endpoints(f'{{addresses: [{{ip: "{address}"}}], ports: [{{port: 80}}]}}')
    assert wrong(core.Endpoints, text) == {"subsets[0].addresses[0].ip": f'Invalid value: "{address}": {why}'}


def test_the_api_servers_own_may_be_on_this_machine() -> None:
    text = endpoints("{addresses: [{ip: 127.0.0.1}], ports: [{port: 443}]}", name="kubernetes")
    assert wrong(core.Endpoints, text) == {}


def test_ports_are_named_when_there_are_several() -> None:
    text = endpoints("{notReadyAddresses: [{ip: 10.0.0.1, hostname: a.b}], ports: [{port: 80}, {port: 0, name: x}]}")
    assert wrong(core.Endpoints, text).keys() == {
        "subsets[0].notReadyAddresses[0].hostname", "subsets[0].ports[0].name", "subsets[0].ports[1].port",
    }  # fmt: skip


def a_slice(type_: str, endpoint: str, ports: str = "[]") -> str:
    return f"""
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata: {{name: web}}
    addressType: {type_}
    endpoints: [{endpoint}]
    ports: {ports}
    """


def test_the_addresses_of_a_slice_are_of_its_type() -> None:
    assert wrong(discovery.EndpointSlice, a_slice("IPv4", '{addresses: ["10.0.0.1"]}')) == {}
    assert wrong(discovery.EndpointSlice, a_slice("IPv4", '{addresses: ["fd00::1"]}')) == {
        "endpoints[0].addresses[0]": 'Invalid value: "fd00::1": must be a valid IPv4 address'
    }
    assert wrong(discovery.EndpointSlice, a_slice("FQDN", "{addresses: [web]}")) == {
        "endpoints[0].addresses[0]": (
            'Invalid value: "web": should be a domain with at least two segments separated by dots'
        )
    }
    assert wrong(discovery.EndpointSlice, a_slice("IPv4", "{addresses: []}")) == {
        "endpoints[0].addresses": "Required value: must contain at least 1 address"
    }


def test_hints_names_and_ports_of_a_slice_are_checked() -> None:
    endpoint = (
        '{addresses: ["10.0.0.1"], hostname: A, nodeName: "-", hints: {forZones: [{name: a}, {name: a}]},'
        "deprecatedTopology: {kubernetes.io/hostname: a}}"
    )
    ports = "[{name: a, port: 80}, {name: a, port: 81, protocol: ICMP, appProtocol: ' '}]"
    assert wrong(discovery.EndpointSlice, a_slice("IPv4", endpoint, ports)).keys() == {
        "endpoints[0].hostname", "endpoints[0].nodeName", "endpoints[0].hints.forZones[1].name",
        "endpoints[0].deprecatedTopology[kubernetes.io/hostname]", "ports[1].name", "ports[1].protocol",
        "ports[1].appProtocol",
    }  # fmt: skip


def test_the_type_of_a_slice_stays() -> None:
    before, after = a_slice("IPv4", '{addresses: ["10.0.0.1"]}'), a_slice("IPv6", '{addresses: ["fd00::1"]}')
    assert changed(discovery.EndpointSlice, before, after) == {
        "addressType": 'Invalid value: "IPv6": field is immutable'
    }


def test_an_aggregated_role_selects_something() -> None:
    text = """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata: {name: all}
    aggregationRule: {}
    """
    assert wrong(rbac.ClusterRole, text).keys() == {"aggregationRule.clusterRoleSelectors"}
