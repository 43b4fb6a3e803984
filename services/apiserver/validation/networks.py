"""Network policies, and the ranges and addresses of services."""

from __future__ import annotations

from collections.abc import Container, Iterator

from raftsman.networking import v1 as networking

from . import addresses, ingresses, metadata, names, ports
from .causes import Causes

_TYPES = ("Egress", "Ingress")
_STRING = 1
_CIDRS_MAX = 2


def policy(found: networking.NetworkPolicy, causes: Causes, *, kept: Container[str] = ()) -> None:
    """`kept` are networks that were there before and need not be well written."""
    spec = found.spec
    metadata.label_selector(spec.pod_selector, causes, path="spec.podSelector")
    for index, coming in enumerate(spec.ingress):
        at = f"spec.ingress[{index}]"
        for position, port in enumerate(coming.ports):
            _port(port, causes, path=f"{at}.ports[{position}]")
        for position, peer in enumerate(coming.from_field):
            _peer(peer, causes, path=f"{at}.from[{position}]", kept=kept)
    for index, going in enumerate(spec.egress):
        at = f"spec.egress[{index}]"
        for position, port in enumerate(going.ports):
            _port(port, causes, path=f"{at}.ports[{position}]")
        for position, peer in enumerate(going.to):
            _peer(peer, causes, path=f"{at}.to[{position}]", kept=kept)
    if len(spec.policy_types) > len(_TYPES):
        causes.invalid("spec.policyTypes", list(spec.policy_types), "may not specify more than two policyTypes")
        return
    for index, one in enumerate(spec.policy_types):
        if one not in _TYPES:
            causes.not_supported(f"spec.policyTypes[{index}]", one, _TYPES)


def policy_update(new: networking.NetworkPolicy, old: networking.NetworkPolicy, causes: Causes) -> None:
    """Everything may change."""
    policy(new, causes, kept=frozenset(_networks(old)))


def _networks(found: networking.NetworkPolicy) -> Iterator[str]:
    peers = [peer for rule in found.spec.ingress for peer in rule.from_field]
    peers += [peer for rule in found.spec.egress for peer in rule.to]
    for peer in peers:
        yield peer.ip_block.cidr
        yield from peer.ip_block.except_field


def _port(found: networking.NetworkPolicyPort, causes: Causes, *, path: str) -> None:
    if found.HasField("protocol") and found.protocol not in ports.PROTOCOLS:
        causes.not_supported(f"{path}.protocol", found.protocol, ports.PROTOCOLS)
    at, ended = f"{path}.endPort", found.HasField("end_port")
    if not found.HasField("port"):
        if ended:
            causes.invalid(at, found.end_port, "may not be specified when `port` is not specified")
        return
    if found.port.type == _STRING:
        if ended:
            causes.invalid(at, found.end_port, "may not be specified when `port` is non-numeric")
    elif ended:
        if found.end_port < found.port.int_val:
            causes.invalid(at, found.end_port, "must be greater than or equal to `port`")
        ports.number(found.end_port, causes, path=at)
    ports.number_or_name(found.port, causes, path=f"{path}.port")


def _peer(found: networking.NetworkPolicyPeer, causes: Causes, *, path: str, kept: Container[str]) -> None:
    pods, namespaces, block = (found.HasField(name) for name in ("pod_selector", "namespace_selector", "ip_block"))
    if pods:
        metadata.label_selector(found.pod_selector, causes, path=f"{path}.podSelector")
    if namespaces:
        metadata.label_selector(found.namespace_selector, causes, path=f"{path}.namespaceSelector")
    if block:
        _block(found.ip_block, causes, path=f"{path}.ipBlock", kept=kept)
    if not (pods or namespaces or block):
        causes.required(path, "must specify a peer")
    elif block and (pods or namespaces):
        causes.forbidden(path, "may not specify both ipBlock and another peer")


def _block(found: networking.IPBlock, causes: Causes, *, path: str, kept: Container[str]) -> None:
    if not found.cidr:
        causes.required(f"{path}.cidr")
        return
    whole = addresses.network(found.cidr, causes, path=f"{path}.cidr", kept=kept)
    if whole is None:
        return
    for index, text in enumerate(found.except_field):
        at = f"{path}.except[{index}]"
        part = addresses.network(text, causes, path=at, kept=kept)
        if part is None:
            continue
        inside = part.version == whole.version and part.network_address in whole
        if not inside or part.prefixlen <= whole.prefixlen:
            causes.invalid(at, text, "must be a strict subset of `cidr`")


def ip_address(found: networking.IPAddress, causes: Causes) -> None:
    """An address that is taken, and by whom; the core group is the empty one."""
    if not found.spec.HasField("parent_ref"):
        causes.required("spec.parentRef")
        return
    reference, path = found.spec.parent_ref, "spec.parentRef"
    if reference.group:
        for wrong in names.dns_subdomain(reference.group):
            causes.invalid(f"{path}.group", reference.group, wrong)
    ingresses.required_segment(reference.resource, causes, path=f"{path}.resource")
    ingresses.required_segment(reference.name, causes, path=f"{path}.name")
    for wrong in names.path_segment(reference.namespace):
        causes.invalid(f"{path}.namespace", reference.namespace, wrong)


def ip_address_update(new: networking.IPAddress, old: networking.IPAddress, causes: Causes) -> None:
    """It stays with its owner."""
    if new.spec.parent_ref != old.spec.parent_ref:
        causes.changed("spec.parentRef", new.spec.parent_ref.name)


def service_cidr(found: networking.ServiceCIDR, causes: Causes) -> None:
    """One network of each family at most."""
    path, networks = "spec.cidrs", list(found.spec.cidrs)
    if not networks:
        causes.required(path, "at least one CIDR required")
        return
    if len(networks) > _CIDRS_MAX:
        causes.invalid(path, networks, "may only hold up to 2 values")
        return
    known = [addresses.canonical_network(text, causes, path=f"{path}[{index}]") for index, text in enumerate(networks)]
    families = [one.version for one in known if one is not None]
    if len(set(families)) < len(families):
        causes.invalid(
            path, networks, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        )


def service_cidr_update(new: networking.ServiceCIDR, old: networking.ServiceCIDR, causes: Causes) -> None:
    """A second family may be added; nothing else changes."""
    before, after = list(old.spec.cidrs), list(new.spec.cidrs)
    grown = len(before) == 1 and len(after) == _CIDRS_MAX
    if len(before) != len(after) and not grown:
        causes.changed("spec.cidrs", after)
        return
    for index, (was, is_) in enumerate(zip(before, after, strict=False)):
        if was != is_:
            causes.changed(f"spec.cidrs[{index}]", is_)
    if grown:
        service_cidr(new, causes)
