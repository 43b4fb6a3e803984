"""Default values of storage.k8s.io."""

from __future__ import annotations

from raftsman.storage import v1 as storage

from . import quantities


def storage_class(found: storage.StorageClass) -> None:
    """Volumes go with their claims, and are made at once."""
    if not found.HasField("reclaim_policy"):
        found.reclaim_policy = "Delete"
    if not found.HasField("volume_binding_mode"):
        found.volume_binding_mode = "Immediate"


def capacity(found: storage.CSIStorageCapacity) -> None:
    """Quantities in the form they are compared in."""
    for field in ("capacity", "maximum_volume_size"):
        if found.HasField(field):
            quantities.canonical_one(getattr(found, field))


def csi_driver(found: storage.CSIDriver) -> None:
    """Volumes are attached first, live on their own, and their owner is set when one node writes."""
    spec = found.spec
    if not spec.HasField("attach_required"):
        spec.attach_required = True
    if not spec.HasField("fs_group_policy"):
        spec.fs_group_policy = "ReadWriteOnceWithFSType"
    if not spec.volume_lifecycle_modes:
        spec.volume_lifecycle_modes.append("Persistent")
    for field in ("pod_info_on_mount", "storage_capacity", "requires_republish", "se_linux_mount"):
        if not spec.HasField(field):
            setattr(spec, field, False)
