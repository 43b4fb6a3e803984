"""Persistent volumes: what they are made of, and what of it never changes."""

from __future__ import annotations

from raftsman.core import v1 as core

from . import affinity, claims, names, resources, volume_sources
from .causes import Causes

_POLICIES = ("Delete", "Recycle", "Retain")
_PHASES = ("Available", "Bound", "Failed", "Pending", "Released")
# Secrets of a CSI volume may be given and taken away.
_SECRETS = (
    "controller_publish_secret_ref", "node_stage_secret_ref", "node_publish_secret_ref", "controller_expand_secret_ref",
    "node_expand_secret_ref",
)  # fmt: skip


def volume(found: core.PersistentVolume, causes: Causes) -> None:
    spec = found.spec
    if not spec.access_modes:
        causes.required("spec.accessModes")
    claims.access_modes(spec.access_modes, causes, path="spec.accessModes")
    _capacity(spec, causes)
    if spec.persistent_volume_reclaim_policy not in _POLICIES:
        causes.not_supported("spec.persistentVolumeReclaimPolicy", spec.persistent_volume_reclaim_policy, _POLICIES)
    _source(spec, causes)
    claims.class_name(spec.storage_class_name, causes, path="spec.storageClassName")
    claims.volume_mode(spec, causes, path="spec.volumeMode")
    _affinity(spec, causes)
    if spec.HasField("volume_attributes_class_name"):
        if not spec.persistent_volume_source.HasField("csi"):
            causes.required("spec.csi", "has to be specified when using volumeAttributesClassName")
        for wrong in names.dns_subdomain(spec.volume_attributes_class_name):
            causes.invalid("spec.volumeAttributesClassName", spec.volume_attributes_class_name, wrong)


def _capacity(spec: core.PersistentVolumeSpec, causes: Causes) -> None:
    if not spec.capacity:
        causes.required("spec.capacity")
    elif set(spec.capacity) != {claims.STORAGE}:
        shown = {name: amount.string for name, amount in spec.capacity.items()}
        causes.not_supported("spec.capacity", shown, (claims.STORAGE,))
    for name, amount in spec.capacity.items():
        resources.positive(amount, causes, path=f"spec.capacity[{name}]")


def _source(spec: core.PersistentVolumeSpec, causes: Causes) -> None:
    given = spec.persistent_volume_source.ListFields()
    if not given:
        causes.required("spec", "must specify a volume type")
    for field, _ in given[1:]:
        causes.forbidden(f"spec.{field.json_name}", "may not specify more than 1 volume type")
    for field, source in given[:1]:
        volume_sources.source(field.name, source, causes, path=f"spec.{field.json_name}")
    path = spec.persistent_volume_source.host_path
    if spec.persistent_volume_source.HasField("host_path"):
        if not path.path:
            causes.required("spec.hostPath.path")
        elif ".." in path.path.split("/"):
            causes.invalid("spec.hostPath.path", path.path, "must not contain '..'")
        if path.path == "/" and spec.persistent_volume_reclaim_policy == "Recycle":
            why = "may not be 'recycle' for a hostPath mount of '/'"
            causes.forbidden("spec.persistentVolumeReclaimPolicy", why)
    local = spec.persistent_volume_source.local.path
    if ".." in local.split("/"):
        causes.invalid("spec.local.path", local, "must not contain '..'")


def _affinity(spec: core.PersistentVolumeSpec, causes: Causes) -> None:
    if spec.HasField("node_affinity"):
        if not spec.node_affinity.HasField("required"):
            causes.required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            affinity.node_selector(spec.node_affinity.required, causes, path="spec.nodeAffinity.required")
    elif spec.persistent_volume_source.HasField("local"):
        causes.required("spec.nodeAffinity", "Local volume requires node affinity")


def update(new: core.PersistentVolume, old: core.PersistentVolume, causes: Causes) -> None:
    volume(new, causes)
    if _fixed(new.spec.persistent_volume_source) != _fixed(old.spec.persistent_volume_source):
        why = "spec.persistentvolumesource is immutable after creation"
        causes.change_forbidden("spec.persistentvolumesource", why)
    if new.spec.volume_mode != old.spec.volume_mode:
        causes.changed("spec.volumeMode", new.spec.volume_mode)
    if old.spec.HasField("node_affinity") and new.spec.node_affinity != old.spec.node_affinity:
        why = "field is immutable, except for updating from beta label to GA"
        causes.changed("spec.nodeAffinity", new.spec.node_affinity, why)


def _fixed(source: core.PersistentVolumeSource) -> core.PersistentVolumeSource:
    kept = core.PersistentVolumeSource()
    kept.CopyFrom(source)
    if kept.HasField("csi"):
        for field in _SECRETS:
            kept.csi.ClearField(field)  # type: ignore[arg-type]
    return kept


def status(new: core.PersistentVolume, old: core.PersistentVolume, causes: Causes) -> None:
    if new.status.phase and new.status.phase not in _PHASES:
        causes.not_supported("status.phase", new.status.phase, _PHASES)
