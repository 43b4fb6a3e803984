"""The groups discovery.k8s.io and networking.k8s.io."""

from __future__ import annotations

from raftsman.discovery import v1 as discovery
from raftsman.networking import v1 as networking
from raftsman.services.apiserver.defaulting import networking as networking_defaults
from raftsman.services.apiserver.defaulting import services as service_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import addresses, endpoints, ingresses, names, networks

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            discovery.EndpointSlice, name_rule=names.dns_subdomain, has_generation=True,
            default=service_defaults.endpoint_slice,
            validate=endpoints.endpoint_slice, validate_update=endpoints.endpoint_slice_update,
        ),
        kind(
            networking.Ingress, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            validate=ingresses.ingress, validate_update=ingresses.ingress_update,
            validate_status=ingresses.ingress_status,
        ),
        kind(
            networking.IngressClass, judges=True, name_rule=names.dns_subdomain, has_generation=True,
            default=networking_defaults.ingress_class,
            validate=ingresses.ingress_class, validate_update=ingresses.ingress_class_update,
        ),
        kind(
            networking.NetworkPolicy, name_rule=names.dns_subdomain, has_generation=True,
            default=networking_defaults.policy, validate=networks.policy, validate_update=networks.policy_update,
        ),
        kind(
            networking.IPAddress, name_rule=addresses.wrong_with_address,
            validate=networks.ip_address, validate_update=networks.ip_address_update,
        ),
        kind(
            networking.ServiceCIDR, name_rule=names.dns_subdomain, **WITH_STATUS,
            validate=networks.service_cidr, validate_update=networks.service_cidr_update,
        ),
    )  # fmt: skip
