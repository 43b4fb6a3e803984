"""The groups storage.k8s.io and resource.k8s.io."""

from __future__ import annotations

from raftsman.resource import v1 as resource
from raftsman.services.apiserver import selectable
from raftsman.services.apiserver.defaulting import devices as device_defaults
from raftsman.services.apiserver.defaulting import storage as storage_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import device_claims, names, resource_slices
from raftsman.services.apiserver.validation import storage as volumes
from raftsman.storage import v1 as storage

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            storage.CSIDriver, name_rule=names.dns_subdomain, unconditional_update=False,
            default=storage_defaults.csi_driver,
            validate=volumes.csi_driver, validate_update=volumes.csi_driver_update,
        ),
        kind(
            storage.CSINode, name_rule=names.dns_subdomain, unconditional_update=False,
            validate=volumes.csi_node, validate_update=volumes.csi_node_update,
        ),
        kind(
            storage.CSIStorageCapacity, name_rule=names.dns_subdomain, unconditional_update=False,
            default=storage_defaults.capacity,
            validate=volumes.capacity, validate_update=volumes.capacity_update,
        ),
        kind(
            storage.StorageClass, judges=True, name_rule=names.dns_subdomain,
            default=storage_defaults.storage_class,
            validate=volumes.storage_class, validate_update=volumes.storage_class_update,
        ),
        kind(
            storage.VolumeAttachment, name_rule=names.dns_subdomain, **WITH_STATUS, unconditional_update=False,
            validate=volumes.attachment, validate_update=volumes.attachment_update,
            validate_status=volumes.attachment_status,
        ),
        kind(
            storage.VolumeAttributesClass, name_rule=names.dns_subdomain,
            validate=volumes.attributes_class, validate_update=volumes.attributes_class_update,
        ),
        kind(
            resource.DeviceClass, name_rule=names.dns_subdomain, has_generation=True,
            validate=device_claims.device_class, validate_update=device_claims.device_class_update,
        ),
        kind(
            resource.ResourceClaim, name_rule=names.dns_subdomain, **WITH_STATUS, default=device_defaults.claim,
            validate=device_claims.claim, validate_update=device_claims.claim_update,
            validate_status=device_claims.claim_status,
        ),
        kind(
            resource.ResourceClaimTemplate, name_rule=names.dns_subdomain, default=device_defaults.template,
            validate=device_claims.template, validate_update=device_claims.template_update,
        ),
        kind(
            resource.ResourceSlice, name_rule=names.dns_subdomain, has_generation=True,
            default=device_defaults.resource_slice, selectable=selectable.RESOURCE_SLICE,
            fields_of=selectable.resource_slice,
            validate=resource_slices.resource_slice, validate_update=resource_slices.update,
        ),
    )  # fmt: skip
