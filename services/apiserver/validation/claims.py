"""Claims of storage: what they ask for, and what of it may change once they are bound."""

from __future__ import annotations

from raftsman import quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import metadata, names, resources
from .causes import Causes

ACCESS_MODES = frozenset({"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"})
VOLUME_MODES = frozenset({"Block", "Filesystem"})
STORAGE = "storage"
_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def claim(found: core.PersistentVolumeClaim, causes: Causes) -> None:
    claim_spec(found.spec, causes, path="spec")


def claim_spec(spec: core.PersistentVolumeClaimSpec, causes: Causes, *, path: str) -> None:
    if not spec.access_modes:
        causes.required(f"{path}.accessModes", "at least 1 access mode is required")
    access_modes(spec.access_modes, causes, path=f"{path}.accessModes")
    metadata.label_selector(spec.selector, causes, path=f"{path}.selector")
    _storage(spec.resources, causes, path=f"{path}.resources")
    class_name(spec.storage_class_name, causes, path=f"{path}.storageClassName")
    class_name(spec.volume_attributes_class_name, causes, path=f"{path}.volumeAttributesClassName")
    volume_mode(spec, causes, path=f"{path}.volumeMode")
    _sources(spec, causes, path=path)


def access_modes(found: object, causes: Causes, *, path: str) -> None:
    modes = list(found)  # type: ignore[call-overload]
    for mode in modes:
        if mode not in ACCESS_MODES:
            causes.not_supported(path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and set(modes) != {"ReadWriteOncePod"}:
        causes.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def class_name(name: str, causes: Causes, *, path: str) -> None:
    if name:
        for wrong in names.dns_subdomain(name):
            causes.invalid(path, name, wrong)


def volume_mode(spec: core.PersistentVolumeClaimSpec | core.PersistentVolumeSpec, causes: Causes, *, path: str) -> None:
    if spec.HasField("volume_mode") and spec.volume_mode not in VOLUME_MODES:
        causes.not_supported(path, spec.volume_mode, VOLUME_MODES)


def _storage(found: core.VolumeResourceRequirements, causes: Causes, *, path: str) -> None:
    if STORAGE not in found.requests:
        causes.required(f"{path}[{STORAGE}]")
    for word, listed in (("requests", found.requests), ("limits", found.limits)):
        for name, amount in listed.items():
            at = f"{path}[{STORAGE}]" if name == STORAGE and word == "requests" else f"{path}.{word}[{name}]"
            resources.positive(amount, causes, path=at)


def _sources(spec: core.PersistentVolumeClaimSpec, causes: Causes, *, path: str) -> None:
    if spec.HasField("data_source"):
        _source(spec.data_source, causes, path=f"{path}.dataSource")
    if not spec.HasField("data_source_ref"):
        return
    _source(spec.data_source_ref, causes, path=f"{path}.dataSourceRef")
    if not spec.HasField("data_source"):
        return
    one, other = spec.data_source, spec.data_source_ref
    if other.namespace:
        causes.invalid(path, f"{path}.dataSource", "may not be specified when dataSourceRef.namespace is specified")
    elif (one.kind, one.name, one.api_group) != (other.kind, other.name, other.api_group):
        causes.invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _source(found: core.TypedLocalObjectReference | core.TypedObjectReference, causes: Causes, *, path: str) -> None:
    for word in ("name", "kind"):
        if not getattr(found, word):
            causes.required(f"{path}.{word}")
    if found.api_group:
        for wrong in names.dns_subdomain(found.api_group):
            causes.invalid(f"{path}.apiGroup", found.api_group, wrong)
    elif found.kind and found.kind != "PersistentVolumeClaim":
        causes.invalid(path, found.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")


def claim_update(new: core.PersistentVolumeClaim, old: core.PersistentVolumeClaim, causes: Causes) -> None:
    claim(new, causes)
    if _fixed(new.spec, old) != _fixed(old.spec, old, named=new.spec.volume_name):
        causes.change_forbidden("spec", _IMMUTABLE)
    _shrinks(new, old, causes)
    if new.spec.volume_mode != old.spec.volume_mode:
        causes.changed("spec.volumeMode", new.spec.volume_mode)
    if old.spec.HasField("volume_attributes_class_name") and not new.spec.HasField("volume_attributes_class_name"):
        causes.change_forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")


def _fixed(
    spec: core.PersistentVolumeClaimSpec, old: core.PersistentVolumeClaim, *, named: str = ""
) -> core.PersistentVolumeClaimSpec:
    """What may not change: the volume is named once, a class given once, and a bound claim may ask for more."""
    kept = core.PersistentVolumeClaimSpec()
    kept.CopyFrom(spec)
    if not old.spec.volume_name and named:
        kept.volume_name = named
    if not old.spec.HasField("storage_class_name"):
        kept.ClearField("storage_class_name")
    if old.status.phase == "Bound":
        kept.resources.requests.pop(STORAGE, None)
    kept.ClearField("volume_attributes_class_name")
    return kept


def _shrinks(new: core.PersistentVolumeClaim, old: core.PersistentVolumeClaim, causes: Causes) -> None:
    """A claim that was to grow and could not may ask for less again, but for no less than it has."""
    asked, before = (_size(one.spec.resources.requests) for one in (new, old))
    has = _size(old.status.capacity)
    if asked is not None and before is not None and asked < before and (has is None or asked <= has):
        causes.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def _size(found: object) -> quantity.Quantity | None:
    if STORAGE not in found:  # type: ignore[operator]
        return None
    amount: meta.Quantity = found[STORAGE]  # type: ignore[index]
    try:
        return quantity.parse(amount.string)
    except quantity.QuantityError:
        return None


def claim_status(new: core.PersistentVolumeClaim, old: core.PersistentVolumeClaim, causes: Causes) -> None:
    resources.amounts(new.status.capacity, causes, path="status.capacity")
    resources.amounts(new.status.allocated_resources, causes, path="status.allocatedResources")
    if new.status.phase not in ("", "Pending", "Bound", "Lost"):
        causes.not_supported("status.phase", new.status.phase, ("Bound", "Lost", "Pending"))
