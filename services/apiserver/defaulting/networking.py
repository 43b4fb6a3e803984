"""Default values of network policies and of classes of ingresses."""

from __future__ import annotations

from raftsman.networking import v1 as networking


def policy(found: networking.NetworkPolicy) -> None:
    """Egress is policed if it is spoken of, ingress always."""
    spec = found.spec
    if not spec.policy_types:
        spec.policy_types.append("Ingress")
        if spec.egress:
            spec.policy_types.append("Egress")
    ports = [port for coming in spec.ingress for port in coming.ports]
    ports += [port for going in spec.egress for port in going.ports]
    for port in ports:
        if not port.HasField("protocol"):
            port.protocol = "TCP"


def ingress_class(found: networking.IngressClass) -> None:
    """Parameters are of the cluster."""
    if found.spec.HasField("parameters") and not found.spec.parameters.HasField("scope"):
        found.spec.parameters.scope = "Cluster"
