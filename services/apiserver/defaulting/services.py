"""Default values of services, endpoints and endpoint slices, and the fields that say one thing twice."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

STICKY_S = 10800
_STRING = 1


def service(found: core.Service) -> None:
    spec = found.spec
    spec.type = spec.type or "ClusterIP"
    spec.session_affinity = spec.session_affinity or "None"
    if spec.session_affinity == "None":
        spec.ClearField("session_affinity_config")
    elif not spec.session_affinity_config.client_ip.HasField("timeout_seconds"):
        spec.session_affinity_config.client_ip.timeout_seconds = STICKY_S
    for port in spec.ports:
        _port(port)
    if spec.type in ("NodePort", "LoadBalancer"):
        spec.external_traffic_policy = spec.external_traffic_policy or "Cluster"
    if spec.type == "LoadBalancer" and not spec.HasField("allocate_load_balancer_node_ports"):
        spec.allocate_load_balancer_node_ports = True
    if spec.type == "ExternalName":
        return
    spec.internal_traffic_policy = spec.internal_traffic_policy or "Cluster"
    if not spec.cluster_ips and spec.cluster_ip:
        spec.cluster_ips.append(spec.cluster_ip)
    elif spec.cluster_ips and not spec.HasField("cluster_ip"):
        spec.cluster_ip = spec.cluster_ips[0]
    if not spec.ip_families:
        spec.ip_families.append("IPv6" if ":" in spec.cluster_ip else "IPv4")
    spec.ip_family_policy = spec.ip_family_policy or "SingleStack"


def _port(port: core.ServicePort) -> None:
    port.protocol = port.protocol or "TCP"
    target = port.target_port
    if (
        not port.HasField("target_port")
        or (target.type != _STRING and not target.int_val)
        or (target.type == _STRING and not target.str_val)
    ):
        target.Clear()
        target.type, target.int_val = 0, port.port


def service_update(new: core.Service, old: core.Service) -> None:
    """What an update leaves out is kept: the address, and the node ports of the ports that have one."""
    spec, before = new.spec, old.spec
    if spec.cluster_ip != before.cluster_ip and list(spec.cluster_ips) == list(before.cluster_ips):
        # Who changes only the one means the other too.
        spec.ClearField("cluster_ips")
        if spec.cluster_ip:
            spec.cluster_ips.append(spec.cluster_ip)
    kind = spec.type or "ClusterIP"
    if kind == "ExternalName" and spec.cluster_ip == before.cluster_ip:
        for field in ("cluster_ip", "cluster_ips", "ip_families", "ip_family_policy", "internal_traffic_policy"):
            spec.ClearField(field)
    if kind != "ExternalName" and (before.type or "ClusterIP") != "ExternalName":
        if not spec.cluster_ip and not spec.cluster_ips:
            spec.cluster_ip = before.cluster_ip
            spec.cluster_ips.extend(before.cluster_ips)
        if not spec.ip_families:
            spec.ip_families.extend(before.ip_families)
            spec.ip_family_policy = spec.ip_family_policy or before.ip_family_policy
    if kind != "LoadBalancer" and before.type == "LoadBalancer":
        _forget_balancer(spec, before)
    if kind in ("NodePort", "LoadBalancer"):
        _keep_node_ports(spec, before)
    else:
        _forget_node_ports(spec, before)
        if spec.external_traffic_policy == before.external_traffic_policy:
            spec.ClearField("external_traffic_policy")


def _forget_balancer(spec: core.ServiceSpec, before: core.ServiceSpec) -> None:
    """A service that is no longer balanced loses what only a balancer reads, if it says nothing new of it."""
    for field in ("allocate_load_balancer_node_ports", "load_balancer_class", "load_balancer_source_ranges"):
        if getattr(spec, field) == getattr(before, field):
            spec.ClearField(field)


def _keep_node_ports(spec: core.ServiceSpec, before: core.ServiceSpec) -> None:
    had = {(port.port, port.protocol): port.node_port for port in before.ports if port.node_port}
    asked = {port.node_port for port in spec.ports if port.node_port}
    for port in spec.ports:
        kept = had.get((port.port, port.protocol or "TCP"), 0)
        if not port.node_port and kept and kept not in asked:
            port.node_port = kept


def _forget_node_ports(spec: core.ServiceSpec, before: core.ServiceSpec) -> None:
    """A service that is no longer of a kind with node ports gives them back, if it names the same ones."""
    if before.type not in ("NodePort", "LoadBalancer"):
        return
    had = {port.node_port for port in before.ports}
    for port in spec.ports:
        if port.node_port in had:
            port.ClearField("node_port")


def endpoints(found: core.Endpoints) -> None:
    for subset in found.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def endpoint_slice(found: discovery.EndpointSlice) -> None:
    for port in found.ports:
        if not port.HasField("name"):
            port.name = ""
        port.protocol = port.protocol or "TCP"
