"""The groups discovery.k8s.io and networking.k8s.io."""

from __future__ import annotations

from raftsman.discovery import v1 as discovery
from raftsman.networking import v1 as networking
from raftsman.services.apiserver.defaulting import services as service_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names, services

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            discovery.EndpointSlice, name_rule=names.dns_subdomain, has_generation=True,
            default=service_defaults.endpoint_slice,
            validate=services.endpoint_slice, validate_update=services.endpoint_slice_update,
        ),
        kind(networking.Ingress, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(networking.IngressClass, judges=True, name_rule=names.dns_subdomain, has_generation=True),
        kind(networking.IPAddress, name_rule=names.dns_subdomain),
        kind(networking.NetworkPolicy, name_rule=names.dns_subdomain, has_generation=True),
        kind(networking.ServiceCIDR, name_rule=names.dns_subdomain, **WITH_STATUS),
    )  # fmt: skip
