"""The cells of services, endpoints and endpoint slices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

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
