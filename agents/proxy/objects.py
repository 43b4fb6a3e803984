"""Read API objects as the proxy's own values. Pure.

Headless services, ExternalName services and services of IPv6 addresses only have nothing to program: None.
What is not programmed although it was asked for is listed by `unsupported`, to be logged by name.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

from .service import Backend, Endpoint, Protocol, Service, ServicePort

AFFINITY_TIMEOUT_DEFAULT_S = 10800

_PROTOCOLS = {"": Protocol.TCP, "TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
_EndpointsByPort = dict[tuple[str, Protocol], tuple[Endpoint, ...]]


def read(service: core.Service, slices: Iterable[discovery.EndpointSlice], *, node_name: str) -> Service | None:
    """A service with its endpoints, seen from node `node_name`; None when there is nothing to program."""
    spec = service.spec
    cluster_ips = tuple(filter(_is_ipv4, spec.cluster_ips or [spec.cluster_ip]))
    if spec.type == "ExternalName" or not cluster_ips:
        return None
    affinity_s = 0
    if spec.session_affinity == "ClientIP":
        affinity_s = spec.session_affinity_config.client_ip.timeout_seconds or AFFINITY_TIMEOUT_DEFAULT_S
    return Service(
        key=f"{service.metadata.namespace}/{service.metadata.name}",
        ports=tuple(_ports(spec)),
        cluster_ips=cluster_ips,
        external_ips=tuple(dict.fromkeys(_external_ips(service))),
        internal_local=spec.internal_traffic_policy == "Local",
        external_local=spec.external_traffic_policy == "Local",
        affinity_timeout_s=affinity_s,
        endpoints=_endpoints(slices, node_name),
    )


def unsupported(service: core.Service) -> Iterator[str]:
    """The fields of a service that ask for something the proxy does not do, each with what it does instead."""
    spec = service.spec
    if any(address and not _is_ipv4(address) and address != "None" for address in spec.cluster_ips):
        yield "spec.clusterIPs: IPv6 addresses are not programmed"
    if spec.load_balancer_source_ranges:
        yield "spec.loadBalancerSourceRanges: load balancer addresses are not programmed rather than open to all"
    if spec.health_check_node_port:
        yield "spec.healthCheckNodePort: nothing answers there"
    if any(port.protocol not in _PROTOCOLS for port in spec.ports):
        yield "spec.ports.protocol: only TCP, UDP and SCTP are programmed"


def _ports(spec: core.ServiceSpec) -> Iterator[ServicePort]:
    for port in spec.ports:
        protocol = _PROTOCOLS.get(port.protocol)
        if protocol is not None:
            yield ServicePort(port.name, protocol, port.port, port.node_port)


def _external_ips(service: core.Service) -> Iterator[str]:
    yield from filter(_is_ipv4, service.spec.external_ips)
    if service.spec.type == "LoadBalancer" and not service.spec.load_balancer_source_ranges:
        for ingress in service.status.load_balancer.ingress:
            if _is_ipv4(ingress.ip) and ingress.ip_mode != "Proxy":
                yield ingress.ip


def _endpoints(slices: Iterable[discovery.EndpointSlice], node_name: str) -> _EndpointsByPort:
    found: dict[tuple[str, Protocol], list[Endpoint]] = {}
    for slice_ in slices:
        if slice_.address_type != "IPv4":
            continue
        for port in slice_.ports:
            protocol = _PROTOCOLS.get(port.protocol)
            if protocol is not None and port.port:
                here = found.setdefault((port.name, protocol), [])
                here.extend(_endpoint(entry, port.port, node_name) for entry in slice_.endpoints if entry.addresses)
    return {key: tuple(endpoints) for key, endpoints in found.items()}


def _endpoint(entry: discovery.Endpoint, port: int, node_name: str) -> Endpoint:
    conditions = entry.conditions
    ready = conditions.ready if conditions.HasField("ready") else True
    return Endpoint(
        # Further addresses of one endpoint name the same pod and are not balanced over.
        Backend(entry.addresses[0], port),
        ready=ready,
        serving=conditions.serving if conditions.HasField("serving") else ready,
        terminating=conditions.terminating,
        local=entry.node_name == node_name,
    )


def _is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
