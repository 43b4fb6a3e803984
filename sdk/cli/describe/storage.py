"""Volumes, claims, quotas and limit ranges, described."""

from __future__ import annotations

from raftsman import codec
from raftsman.core import v1 as core
from raftsman.printers import volumes

from .text import NONE, Text, conditions, head

_CLASS = "volume.beta.kubernetes.io/storage-class"


def volume(text: Text, obj: core.PersistentVolume) -> None:
    head(text, obj, namespaced=False)
    spec = obj.spec
    text.field("Finalizers", f"[{' '.join(obj.metadata.finalizers)}]")
    text.field("StorageClass", obj.metadata.annotations.get(_CLASS, "") or spec.storage_class_name)
    text.field("Status", volumes.phase(obj))
    claim_ = f"{spec.claim_ref.namespace}/{spec.claim_ref.name}" if spec.HasField("claim_ref") else ""
    text.field("Claim", claim_)
    text.field("Reclaim Policy", spec.persistent_volume_reclaim_policy)
    text.field("Access Modes", volumes.access_modes(spec.access_modes))
    if spec.HasField("volume_mode"):
        text.field("VolumeMode", spec.volume_mode)
    text.field("Capacity", volumes.storage(spec.capacity))
    _affinity(text, spec)
    text.field("Message", obj.status.message)
    text.heading("Source")
    for field, source in spec.persistent_volume_source.ListFields():
        text.field("Type", field.json_name, 1)
        for key, value in sorted(codec.to_json(source).items()):
            text.field(key[:1].upper() + key[1:], value, 1)


def _affinity(text: Text, spec: core.PersistentVolumeSpec) -> None:
    if not spec.HasField("node_affinity"):
        text.field("Node Affinity", NONE)
        return
    text.heading("Node Affinity")
    text.heading("Required Terms", 1)
    for index, term in enumerate(spec.node_affinity.required.node_selector_terms):
        said = [f"{one.key} {one.operator.lower()} [{', '.join(one.values)}]" for one in term.match_expressions]
        text.field(f"Term {index}", "\n".join(said) or NONE, 2)


def claim(text: Text, obj: core.PersistentVolumeClaim) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("StorageClass", obj.metadata.annotations.get(_CLASS, "") or obj.spec.storage_class_name)
    text.field("Status", volumes.phase(obj))
    text.field("Volume", obj.spec.volume_name)
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.field("Finalizers", f"[{' '.join(obj.metadata.finalizers)}]")
    named = bool(obj.spec.volume_name)
    text.field("Capacity", volumes.storage(obj.status.capacity) if named else "")
    text.field("Access Modes", volumes.access_modes(obj.status.access_modes) if named else "")
    if obj.spec.HasField("volume_mode"):
        text.field("VolumeMode", obj.spec.volume_mode)
    if obj.spec.HasField("data_source"):
        text.heading("DataSource")
        text.field("Kind", obj.spec.data_source.kind, 1)
        text.field("Name", obj.spec.data_source.name, 1)
    conditions(text, obj.status.conditions, ("Type", "Status", "Reason", "Message"))


def quota(text: Text, obj: core.ResourceQuota) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    if obj.spec.scopes:
        text.field("Scopes", ", ".join(sorted(obj.spec.scopes)))
    rows = [["Resource", "Used", "Hard"], ["--------", "----", "----"]]
    for name in sorted(obj.status.hard):
        used = obj.status.used[name].string if name in obj.status.used else "0"
        rows.append([name, used, obj.status.hard[name].string])
    text.table(rows, 0)


def limit_range(text: Text, obj: core.LimitRange) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    words = ("Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio")
    rows = [list(words), ["-" * len(word) for word in words]]
    for item in obj.spec.limits:
        listed = (item.min, item.max, item.default_request, item.default, item.max_limit_request_ratio)
        for name in sorted({name for amounts in listed for name in amounts}):
            rows.append([item.type, name, *(one[name].string if name in one else "-" for one in listed)])
    text.table(rows, 0)
