"""The groups storage.k8s.io and resource.k8s.io."""

from __future__ import annotations

from raftsman.resource import v1 as resource
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names
from raftsman.storage import v1 as storage

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(storage.CSIDriver, name_rule=names.dns_subdomain),
        kind(storage.CSINode, name_rule=names.dns_subdomain),
        kind(storage.CSIStorageCapacity, name_rule=names.dns_subdomain),
        kind(storage.StorageClass, judges=True, name_rule=names.dns_subdomain),
        kind(storage.VolumeAttachment, name_rule=names.dns_subdomain, **WITH_STATUS),
        kind(storage.VolumeAttributesClass, name_rule=names.dns_subdomain),
        kind(resource.DeviceClass, name_rule=names.dns_subdomain, has_generation=True),
        kind(resource.ResourceClaim, name_rule=names.dns_subdomain, **WITH_STATUS),
        kind(resource.ResourceClaimTemplate, name_rule=names.dns_subdomain),
        kind(resource.ResourceSlice, name_rule=names.dns_subdomain, has_generation=True),
    )  # fmt: skip
