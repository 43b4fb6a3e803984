"""The cells of services, endpoints, ingresses, network policies and addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.networking import v1 as networking

from . import workloads

NONE = "<none>"
_SHOWN_MAX = 3


def service(obj: core.Service, now: datetime) -> Sequence[str]:
    selector = obj.spec.selector
    return (
        obj.metadata.name,
        obj.spec.type or "ClusterIP",
        obj.spec.cluster_ips[0] if obj.spec.cluster_ips else obj.spec.cluster_ip or NONE,
        external(obj),
        ports(obj.spec.ports),
        times.age(obj.metadata.creation_timestamp, now=now),
        ",".join(f"{key}={selector[key]}" for key in sorted(selector)) or NONE,
    )


def external(obj: core.Service) -> str:
    """The addresses by which a service is reached from outside."""
    if obj.spec.type == "ExternalName":
        return obj.spec.external_name
    found = list(obj.spec.external_ips)
    if obj.spec.type == "LoadBalancer":
        found = [i.ip or i.hostname for i in obj.status.load_balancer.ingress] + found
        return ",".join(found) or "<pending>"
    return ",".join(found) or NONE


def ports(found: Sequence[core.ServicePort]) -> str:
    """`80/TCP,443:30443/TCP`."""
    return ",".join(f"{p.port}{f':{p.node_port}' if p.node_port else ''}/{p.protocol or 'TCP'}" for p in found) or NONE


def endpoints(obj: core.Endpoints, now: datetime) -> Sequence[str]:
    found = []
    for subset in obj.subsets:
        if not subset.ports:
            found += [address.ip for address in subset.addresses]
        for port in subset.ports:
            found += [socket(address.ip, port.port) for address in subset.addresses]
    return obj.metadata.name, shortened(found), times.age(obj.metadata.creation_timestamp, now=now)


def socket(address: str, port: int) -> str:
    """`10.0.0.1:80`, `[fd00::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def shortened(found: list[str], none: str = NONE) -> str:
    """At most three, and how many more."""
    more = len(found) - _SHOWN_MAX
    return (",".join(found[:_SHOWN_MAX]) or none) + (f" + {more} more..." if more > 0 else "")


def endpoint_slice(obj: discovery.EndpointSlice, now: datetime) -> Sequence[str]:
    addresses = [address for endpoint in obj.endpoints for address in endpoint.addresses]
    return (
        obj.metadata.name,
        obj.address_type,
        shortened([str(port.port) if port.HasField("port") else "*" for port in obj.ports], "<unset>"),
        shortened(addresses, "<unset>"),
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def ingress(obj: networking.Ingress, now: datetime) -> Sequence[str]:
    spec = obj.spec
    reached = {one.ip or one.hostname for one in obj.status.load_balancer.ingress if one.ip or one.hostname}
    return (
        obj.metadata.name,
        spec.ingress_class_name if spec.HasField("ingress_class_name") else NONE,
        shortened([rule.host for rule in spec.rules if rule.host], "*"),
        ",".join(sorted(reached)),
        "80, 443" if spec.tls else "80",
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def ingress_class(obj: networking.IngressClass, now: datetime) -> Sequence[str]:
    parameters = NONE
    if obj.spec.HasField("parameters"):
        reference = obj.spec.parameters
        group = f".{reference.api_group}" if reference.HasField("api_group") else ""
        parameters = f"{reference.kind}{group}/{reference.name}"
    return (
        obj.metadata.name,
        obj.spec.controller,
        parameters,
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def network_policy(obj: networking.NetworkPolicy, now: datetime) -> Sequence[str]:
    return (
        obj.metadata.name,
        workloads.selector(obj.spec.pod_selector),
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def ip_address(obj: networking.IPAddress, now: datetime) -> Sequence[str]:
    return obj.metadata.name, parent(obj.spec) or NONE


def parent(spec: networking.IPAddressSpec) -> str:
    """`services/default/kubernetes`, whose an address is; empty if nobody's."""
    if not spec.HasField("parent_ref"):
        return ""
    reference = spec.parent_ref
    kind = f"{reference.resource}.{reference.group}" if reference.group else reference.resource
    return "/".join(part for part in (kind, reference.namespace, reference.name) if part)


def service_cidr(obj: networking.ServiceCIDR, now: datetime) -> Sequence[str]:
    return obj.metadata.name, ",".join(obj.spec.cidrs), times.age(obj.metadata.creation_timestamp, now=now)
