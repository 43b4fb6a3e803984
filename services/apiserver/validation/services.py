"""Services. Whether an address or a port is free is the allocator's to say."""

from __future__ import annotations

import ipaddress

from raftsman import unsupported as unserved
from raftsman.core import v1 as core
from raftsman.services.apiserver import unsupported

from . import endpoints, metadata, names, ports
from .causes import Causes, Verbatim, quoted

TYPES = frozenset({"ClusterIP", "NodePort", "ExternalName", "LoadBalancer"})
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_STICKY_MAX_S = 86400
# An update takes and gives back all of a service's node ports in one transaction of the store, of 128 operations.
_NODE_PORTS_MAX = 60

_unsupported = unserved.finder(core.ServiceSpec, unsupported.SERVICE_SPEC)


def service(found: core.Service, causes: Causes) -> None:
    spec = found.spec
    for path, needs in _unsupported(spec, "spec"):
        causes.unserved(path, f"it needs {needs}")
    if spec.type not in TYPES:
        causes.not_supported("spec.type", spec.type, TYPES)
    if not spec.ports and spec.cluster_ip != "None" and spec.type != "ExternalName":
        causes.required("spec.ports")
    _ports(spec, causes)
    metadata.labels(spec.selector, causes, path="spec.selector")
    _affinity(spec, causes)
    _addresses(spec, causes)
    for index, address in enumerate(spec.external_ips):
        endpoints.destination(address, causes, path=f"spec.externalIPs[{index}]")
    _policies(spec, causes)
    _balancer(spec, causes)


def _ports(spec: core.ServiceSpec, causes: Causes) -> None:
    seen_names: set[str] = set()
    seen: set[tuple[int, str]] = set()
    node_ports: set[tuple[int, str]] = set()
    if spec.type in ("NodePort", "LoadBalancer") and len(spec.ports) > _NODE_PORTS_MAX:
        causes.too_many("spec.ports", len(spec.ports), _NODE_PORTS_MAX)
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        if len(spec.ports) > 1 and not port.name:
            causes.required(f"{at}.name")
        elif port.name:
            for wrong in names.dns_label(port.name):
                causes.invalid(f"{at}.name", port.name, wrong)
            if port.name in seen_names:
                causes.duplicate(f"{at}.name", port.name)
            seen_names.add(port.name)
        ports.number(port.port, causes, path=f"{at}.port")
        ports.protocol(port.protocol, causes, path=f"{at}.protocol")
        ports.number_or_name(port.target_port, causes, path=f"{at}.targetPort")
        if (port.port, port.protocol) in seen:
            causes.duplicate(at, _same_port(port))
        seen.add((port.port, port.protocol))
        if port.node_port:
            if spec.type in ("ClusterIP", "ExternalName"):
                causes.forbidden(f"{at}.nodePort", f"may not be used when `type` is '{spec.type}'")
            if (port.node_port, port.protocol) in node_ports:
                causes.duplicate(f"{at}.nodePort", port.node_port)
            node_ports.add((port.node_port, port.protocol))
        if port.app_protocol:
            for wrong in names.qualified(port.app_protocol):
                causes.invalid(f"{at}.appProtocol", port.app_protocol, wrong)


def _same_port(port: core.ServicePort) -> Verbatim:
    """What two ports have in common, as Kubernetes prints it."""
    return Verbatim(
        f'{{"Name":"","Protocol":{quoted(port.protocol)},"AppProtocol":null,"Port":{port.port},"TargetPort":0,'
        '"NodePort":0}'
    )


def _affinity(spec: core.ServiceSpec, causes: Causes) -> None:
    if spec.session_affinity not in ("None", "ClientIP"):
        causes.not_supported("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"))
    seconds = spec.session_affinity_config.client_ip.timeout_seconds
    if spec.session_affinity == "ClientIP" and not 0 < seconds <= _STICKY_MAX_S:
        causes.invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            seconds,
            f"must be greater than 0 and less than {_STICKY_MAX_S}",
        )


def _addresses(spec: core.ServiceSpec, causes: Causes) -> None:
    if spec.type == "ExternalName":
        for word, found in (
            ("ipFamilies", spec.ip_families), ("ipFamilyPolicy", spec.ip_family_policy), ("clusterIP", spec.cluster_ip),
            ("clusterIPs", spec.cluster_ips),
        ):  # fmt: skip
            if found:
                causes.forbidden(f"spec.{word}", "may not be set when `type` is 'ExternalName'")
        _external_name(spec.external_name, causes)
        return
    if spec.type in ("NodePort", "LoadBalancer") and spec.cluster_ip == "None":
        causes.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec.type} services")
    if list(spec.cluster_ips[:1]) not in ([], [spec.cluster_ip]):
        causes.invalid("spec.clusterIPs", list(spec.cluster_ips), "first value must match `clusterIP`")
    if len(spec.cluster_ips) > 1 or len(spec.ip_families) > 1 or spec.ip_family_policy == "RequireDualStack":
        causes.unserved("spec.ipFamilyPolicy", "two address families need a second service range")
    if spec.ip_family_policy not in _FAMILY_POLICIES:
        causes.not_supported("spec.ipFamilyPolicy", spec.ip_family_policy, _FAMILY_POLICIES)
    for index, family in enumerate(spec.ip_families):
        if family not in ("IPv4", "IPv6"):
            causes.not_supported(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
    for index, address in enumerate(spec.cluster_ips):
        if address not in ("None", "") and not _is_address(address):
            causes.invalid(
                f"spec.clusterIPs[{index}]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            )


def _external_name(name: str, causes: Causes) -> None:
    if not name:
        causes.required("spec.externalName")
    for wrong in names.dns_subdomain(name.removesuffix(".").lower()) if name else ():
        causes.invalid("spec.externalName", name, wrong)


def _policies(spec: core.ServiceSpec, causes: Causes) -> None:
    for word, value in (
        ("externalTrafficPolicy", spec.external_traffic_policy),
        ("internalTrafficPolicy", spec.internal_traffic_policy),
    ):
        if value and value not in ("Cluster", "Local"):
            causes.not_supported(f"spec.{word}", value, ("Cluster", "Local"))
    if spec.external_traffic_policy and spec.type not in ("NodePort", "LoadBalancer"):
        causes.invalid(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy,
            "may only be set for externally-accessible services",
        )


def _balancer(spec: core.ServiceSpec, causes: Causes) -> None:
    """What a load balancer is told. Its address stays pending until somebody gives the service one."""
    balanced = spec.type == "LoadBalancer"
    if not balanced:
        for word, given in (
            ("loadBalancerSourceRanges", bool(spec.load_balancer_source_ranges)),
            ("loadBalancerClass", spec.HasField("load_balancer_class")),
            ("allocateLoadBalancerNodePorts", spec.HasField("allocate_load_balancer_node_ports")),
        ):
            if given:
                causes.forbidden(f"spec.{word}", "may only be used when `type` is 'LoadBalancer'")
        return
    for index, text in enumerate(spec.load_balancer_source_ranges):
        try:
            ipaddress.ip_network(text.strip())
        except ValueError:
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.invalid(f"spec.loadBalancerSourceRanges[{index}]", text, why)
    if spec.HasField("load_balancer_class"):
        for wrong in names.qualified(spec.load_balancer_class):
            causes.invalid("spec.loadBalancerClass", spec.load_balancer_class, wrong)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def service_update(new: core.Service, old: core.Service, causes: Causes) -> None:
    """The address stays as long as the service has one."""
    service(new, causes)
    both = new.spec.type == old.spec.type == "LoadBalancer"
    if both and new.spec.load_balancer_class != old.spec.load_balancer_class:
        causes.change_forbidden("spec.loadBalancerClass", "may not change once set")
    if "ExternalName" in (new.spec.type, old.spec.type):
        return
    if old.spec.cluster_ip and new.spec.cluster_ip != old.spec.cluster_ip:
        causes.changed("spec.clusterIPs[0]", list(new.spec.cluster_ips), "may not change once set")
