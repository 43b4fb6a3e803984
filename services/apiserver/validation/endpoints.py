"""Endpoints and endpoint slices: addresses that traffic may be led to, and the ports there."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

from . import addresses, metadata, names, ports
from .causes import Causes

_ENDPOINTS_MAX = 1000
_PORTS_MAX = 20000
_ADDRESSES_MAX = 100
_TOPOLOGY_MAX = 16
_HINTS_MAX = 8
_TYPES = ("FQDN", "IPv4", "IPv6")
# The API server's own, which may listen on a loopback address when it is alone on its machine.
_OWN = ("default", "kubernetes")


def endpoints(found: core.Endpoints, causes: Causes) -> None:
    """Each subset with an address, ready or not."""
    own = (found.metadata.namespace, found.metadata.name) == _OWN
    for index, subset in enumerate(found.subsets):
        at = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            causes.required(at, "must specify `addresses` or `notReadyAddresses`")
        for word, listed in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for position, one in enumerate(listed):
                _address(one, causes, path=f"{at}.{word}[{position}]", own=own)
        for position, port in enumerate(subset.ports):
            _port(port, causes, path=f"{at}.ports[{position}]", named=len(subset.ports) > 1)


def endpoints_update(new: core.Endpoints, old: core.Endpoints, causes: Causes) -> None:
    """Everything may change."""
    endpoints(new, causes)


def _address(found: core.EndpointAddress, causes: Causes, *, path: str, own: bool) -> None:
    destination(found.ip, causes, path=f"{path}.ip", loopback=own)
    for wrong in names.dns_label(found.hostname) if found.hostname else ():
        causes.invalid(f"{path}.hostname", found.hostname, wrong)
    for wrong in names.dns_subdomain(found.node_name) if found.HasField("node_name") else ():
        causes.invalid(f"{path}.nodeName", found.node_name, wrong)


def _port(found: core.EndpointPort, causes: Causes, *, path: str, named: bool) -> None:
    if named and not found.name:
        causes.required(f"{path}.name")
    for wrong in names.dns_label(found.name) if found.name else ():
        causes.invalid(f"{path}.name", found.name, wrong)
    ports.number(found.port, causes, path=f"{path}.port")
    ports.protocol(found.protocol, causes, path=f"{path}.protocol")
    for wrong in names.qualified(found.app_protocol) if found.HasField("app_protocol") else ():
        causes.invalid(f"{path}.appProtocol", found.app_protocol, wrong)


def destination(text: str, causes: Causes, *, path: str, loopback: bool = False) -> None:
    """Not this machine, not everybody: traffic of a service must not be led there."""
    before = len(causes.found)
    addresses.address(text, causes, path=path)
    address = addresses.parsed(text)
    if len(causes.found) > before or address is None:
        return
    for wrong, where in (
        (address.is_unspecified, "unspecified (0.0.0.0 or ::)"),
        (address.is_loopback and not loopback, "in the loopback range (127.0.0.0/8, ::1/128)"),
        (address.is_link_local, "in the link-local range (169.254.0.0/16, fe80::/10)"),
        (address.is_multicast, "in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ):
        if wrong:
            causes.invalid(path, text, f"may not be {where}")


def endpoint_slice(found: discovery.EndpointSlice, causes: Causes) -> None:
    """Addresses of one type, bounded in number."""
    if not found.address_type:
        causes.required("addressType")
    elif found.address_type not in _TYPES:
        causes.not_supported("addressType", found.address_type, _TYPES)
    own = (found.metadata.namespace, found.metadata.name) == _OWN
    if len(found.endpoints) > _ENDPOINTS_MAX:
        causes.too_many("endpoints", len(found.endpoints), _ENDPOINTS_MAX)
        return
    for index, endpoint in enumerate(found.endpoints):
        _endpoint(endpoint, found.address_type, causes, path=f"endpoints[{index}]", own=own)
    _slice_ports(found.ports, causes)


def _endpoint(found: discovery.Endpoint, type_: str, causes: Causes, *, path: str, own: bool) -> None:
    at = f"{path}.addresses"
    if not found.addresses:
        causes.required(at, "must contain at least 1 address")
    elif len(found.addresses) > _ADDRESSES_MAX:
        causes.too_many(at, len(found.addresses), _ADDRESSES_MAX)
    for index, address in enumerate(found.addresses):
        _typed_address(address, type_, causes, path=f"{at}[{index}]", own=own)
    for wrong in names.dns_subdomain(found.node_name) if found.HasField("node_name") else ():
        causes.invalid(f"{path}.nodeName", found.node_name, wrong)
    topology = f"{path}.deprecatedTopology"
    if len(found.deprecated_topology) > _TOPOLOGY_MAX:
        causes.too_many(topology, len(found.deprecated_topology), _TOPOLOGY_MAX)
    metadata.labels(found.deprecated_topology, causes, path=topology)
    if "kubernetes.io/hostname" in found.deprecated_topology:
        causes.invalid(
            f"{topology}[kubernetes.io/hostname]", found.deprecated_topology["kubernetes.io/hostname"],
            "may not be set; use nodeName instead",
        )  # fmt: skip
    for wrong in names.dns_label(found.hostname) if found.HasField("hostname") else ():
        causes.invalid(f"{path}.hostname", found.hostname, wrong)
    _hints([zone.name for zone in found.hints.for_zones], causes, path=f"{path}.hints.forZones", rule=names.label_value)
    _hints([node.name for node in found.hints.for_nodes], causes, path=f"{path}.hints.forNodes",
           rule=names.dns_subdomain)  # fmt: skip


def _hints(found: Sequence[str], causes: Causes, *, path: str, rule: names.Rule) -> None:
    if len(found) > _HINTS_MAX:
        causes.too_many(path, len(found), _HINTS_MAX)
        return
    seen: set[str] = set()
    for index, name in enumerate(found):
        if name in seen:
            causes.duplicate(f"{path}[{index}].name", name)
        seen.add(name)
        for wrong in rule(name):
            causes.invalid(f"{path}[{index}].name", name, wrong)


def _typed_address(text: str, type_: str, causes: Causes, *, path: str, own: bool) -> None:
    if type_ == "FQDN":
        _fully_qualified(text, causes, path=path)
        return
    address = addresses.parsed(text)
    if type_ in ("IPv4", "IPv6") and (address is None or f"IPv{address.version}" != type_):
        causes.invalid(path, text, f"must be a valid {type_} address")
        return
    destination(text, causes, path=path, loopback=own)


def _fully_qualified(text: str, causes: Causes, *, path: str) -> None:
    name = text.removesuffix(".")
    wrong = names.dns_subdomain(name) if name else []
    if not name:
        causes.required(path)
    elif wrong:
        causes.invalid(path, name, ",".join(wrong))
    elif "." not in name:
        causes.invalid(path, name, "should be a domain with at least two segments separated by dots")


def _slice_ports(found: Sequence[discovery.EndpointPort], causes: Causes) -> None:
    if len(found) > _PORTS_MAX:
        causes.too_many("ports", len(found), _PORTS_MAX)
        return
    seen: set[str] = set()
    for index, port in enumerate(found):
        at = f"ports[{index}]"
        for wrong in names.dns_label(port.name) if port.name else ():
            causes.invalid(f"{at}.name", port.name, wrong)
        if port.name in seen:
            causes.duplicate(f"{at}.name", port.name)
        seen.add(port.name)
        ports.protocol(port.protocol, causes, path=f"{at}.protocol")
        for wrong in names.qualified(port.app_protocol) if port.HasField("app_protocol") else ():
            causes.invalid(f"{at}.appProtocol", port.app_protocol, wrong)


def endpoint_slice_update(new: discovery.EndpointSlice, old: discovery.EndpointSlice, causes: Causes) -> None:
    """The type of addresses stays."""
    if new.address_type != old.address_type:
        causes.changed("addressType", new.address_type)
    endpoint_slice(new, causes)
