"""The cells of storage classes, CSI drivers and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from raftsman import times
from raftsman.storage import v1 as storage

NONE = "<none>"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _age(obj: Any, now: datetime) -> str:
    return times.age(obj.metadata.creation_timestamp, now=now)


def word(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def storage_class(obj: storage.StorageClass, now: datetime) -> Sequence[str]:
    return (
        f"{obj.metadata.name} (default)" if is_default(obj) else obj.metadata.name,
        obj.provisioner,
        obj.reclaim_policy if obj.HasField("reclaim_policy") else "Delete",
        obj.volume_binding_mode if obj.HasField("volume_binding_mode") else "Immediate",
        word(obj.allow_volume_expansion),
        _age(obj, now),
    )


def is_default(obj: storage.StorageClass) -> bool:
    """Whether claims without a class get this one."""
    return any(obj.metadata.annotations.get(key) == "true" for key in _DEFAULT)


def csi_driver(obj: storage.CSIDriver, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        word(spec.attach_required or not spec.HasField("attach_required")),
        word(spec.pod_info_on_mount),
        word(spec.storage_capacity),
        ",".join(request.audience for request in spec.token_requests) if spec.token_requests else "<unset>",
        word(spec.requires_republish),
        ",".join(spec.volume_lifecycle_modes) or NONE,
        _age(obj, now),
    )


def csi_node(obj: storage.CSINode, now: datetime) -> Sequence[str]:
    return obj.metadata.name, str(len(obj.spec.drivers)), _age(obj, now)


def capacity(obj: storage.CSIStorageCapacity, now: datetime) -> Sequence[str]:
    created = obj.metadata.creation_timestamp
    return obj.metadata.name, "<unknown>" if times.is_zero(created) else times.format_seconds(created.seconds)


def attachment(obj: storage.VolumeAttachment, now: datetime) -> Sequence[str]:
    return (
        obj.metadata.name,
        obj.spec.attacher,
        obj.spec.source.persistent_volume_name,
        obj.spec.node_name,
        word(obj.status.attached),
        _age(obj, now),
    )


def attributes_class(obj: storage.VolumeAttributesClass, now: datetime) -> Sequence[str]:
    name = obj.metadata.name
    if obj.metadata.annotations.get("volumeattributesclass.alpha.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return name, obj.driver_name, _age(obj, now)
