"""Services, endpoints and endpoint slices, described."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.printers import network

from .templates import int_or_string
from .text import NONE, Text, head


def service(text: Text, obj: core.Service, slices: Sequence[discovery.EndpointSlice] = ()) -> None:
    """With `slices`, those of the service, also what each port leads to."""
    head(text, obj)
    spec = obj.spec
    text.field("Selector", ",".join(f"{key}={spec.selector[key]}" for key in sorted(spec.selector)) or NONE)
    text.field("Type", spec.type or "ClusterIP")
    text.field("IP Family Policy", spec.ip_family_policy or NONE)
    text.field("IP Families", ",".join(spec.ip_families) or NONE)
    text.field("IP", spec.cluster_ip or NONE)
    text.field("IPs", ",".join(spec.cluster_ips) or NONE)
    if spec.external_name or spec.external_ips or spec.type == "LoadBalancer":
        text.field("External", network.external(obj))
    for port in spec.ports:
        text.field("Port", f"{port.name or '<unset>'}  {port.port}/{port.protocol or 'TCP'}")
        text.field("TargetPort", f"{int_or_string(port.target_port) or port.port}/{port.protocol or 'TCP'}")
        if port.node_port:
            text.field("NodePort", f"{port.name or '<unset>'}  {port.node_port}/{port.protocol or 'TCP'}")
        if spec.type != "ExternalName":
            text.field("Endpoints", network.shortened(_behind(port, slices)))
    text.field("Session Affinity", spec.session_affinity or "None")
    if spec.external_traffic_policy:
        text.field("External Traffic Policy", spec.external_traffic_policy)
    if spec.internal_traffic_policy:
        text.field("Internal Traffic Policy", spec.internal_traffic_policy)


def _behind(port: core.ServicePort, slices: Sequence[discovery.EndpointSlice]) -> list[str]:
    """The ready addresses that a port of a service leads to."""
    return sorted(
        network.socket(address, one.port)
        for slice_ in slices
        for one in slice_.ports
        if one.name == port.name and (one.protocol or "TCP") == (port.protocol or "TCP")
        for endpoint in slice_.endpoints
        if endpoint.conditions.ready or not endpoint.conditions.HasField("ready")
        for address in endpoint.addresses
    )


def endpoints(text: Text, obj: core.Endpoints) -> None:
    head(text, obj)
    text.heading("Subsets")
    for subset in obj.subsets:
        text.field("Addresses", ",".join(a.ip for a in subset.addresses) or NONE, 1)
        text.field("NotReadyAddresses", ",".join(a.ip for a in subset.not_ready_addresses) or NONE, 1)
        if subset.ports:
            text.heading("Ports", 1)
            rows = [["Name", "Port", "Protocol"], ["----", "----", "--------"]]
            text.table([*rows, *([p.name or "<unset>", str(p.port), p.protocol] for p in subset.ports)], 2)


def endpoint_slice(text: Text, obj: discovery.EndpointSlice) -> None:
    head(text, obj)
    text.field("AddressType", obj.address_type)
    text.heading("Ports")
    rows = [["Name", "Port", "Protocol"], ["----", "----", "--------"]]
    text.table([*rows, *([p.name or "<unset>", str(p.port), p.protocol] for p in obj.ports)])
    text.heading("Endpoints")
    for endpoint in obj.endpoints:
        text.field("- Addresses", ",".join(endpoint.addresses), 1)
        text.line("Conditions:", 2)
        conditions = endpoint.conditions
        for name in ("ready", "serving", "terminating"):
            if conditions.HasField(name):
                text.field(name.capitalize(), str(getattr(conditions, name)).lower(), 3)
        if endpoint.target_ref.name:
            text.field("TargetRef", f"{endpoint.target_ref.kind}/{endpoint.target_ref.name}", 2)
        if endpoint.node_name:
            text.field("NodeName", endpoint.node_name, 2)
