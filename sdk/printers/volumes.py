"""The cells of volumes and of claims of storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

UNSET = "<unset>"
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_CLASS = "volume.beta.kubernetes.io/storage-class"


def volume(obj: core.PersistentVolume, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        storage(spec.capacity),
        access_modes(spec.access_modes),
        spec.persistent_volume_reclaim_policy,
        phase(obj),
        f"{spec.claim_ref.namespace}/{spec.claim_ref.name}" if spec.HasField("claim_ref") else "",
        obj.metadata.annotations.get(_CLASS, "") or spec.storage_class_name,
        spec.volume_attributes_class_name if spec.HasField("volume_attributes_class_name") else UNSET,
        obj.status.reason,
        times.age(obj.metadata.creation_timestamp, now=now),
        spec.volume_mode if spec.HasField("volume_mode") else UNSET,
    )


def claim(obj: core.PersistentVolumeClaim, now: datetime) -> Sequence[str]:
    spec, named = obj.spec, bool(obj.spec.volume_name)
    return (
        obj.metadata.name,
        phase(obj),
        spec.volume_name,
        storage(obj.status.capacity) if named else "",
        access_modes(obj.status.access_modes) if named else "",
        obj.metadata.annotations.get(_CLASS, "") or spec.storage_class_name,
        spec.volume_attributes_class_name if spec.HasField("volume_attributes_class_name") else UNSET,
        times.age(obj.metadata.creation_timestamp, now=now),
        spec.volume_mode if spec.HasField("volume_mode") else UNSET,
    )


def phase(obj: core.PersistentVolume | core.PersistentVolumeClaim) -> str:
    return "Terminating" if obj.metadata.HasField("deletion_timestamp") else obj.status.phase


def storage(found: Mapping[str, meta.Quantity]) -> str:
    return found["storage"].string if "storage" in found else "0"


def access_modes(found: Iterable[str]) -> str:
    """`RWO,RWX`."""
    modes = set(found)
    return ",".join(short for mode, short in _MODES.items() if mode in modes)
