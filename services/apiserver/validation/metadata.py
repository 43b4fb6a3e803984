"""Rules that hold for the metadata of every object."""

from __future__ import annotations

from collections.abc import Mapping

from raftsman.meta import v1 as meta

from . import names
from .causes import Causes

ANNOTATIONS_BYTES_MAX = 256 * 1024
# A generated name fits where a label is needed: 63 characters, 5 of them generated.
GENERATED_PREFIX_MAX = 58
_OWN_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})


def validate(
    metadata: meta.ObjectMeta, causes: Causes, *, namespaced: bool, rule: object, path: str = "metadata"
) -> None:
    """`rule` is the kind's name rule. The namespace was settled before."""
    assert callable(rule)
    if metadata.generate_name:
        for wrong in rule(
            metadata.generate_name.rstrip("-.") if metadata.generate_name[-1] in "-." else metadata.generate_name
        ):
            causes.invalid(f"{path}.generateName", metadata.generate_name, wrong)
    if not metadata.name:
        causes.required(f"{path}.name", "name or generateName is required")
    else:
        for wrong in rule(metadata.name):
            causes.invalid(f"{path}.name", metadata.name, wrong)
    if namespaced:
        for wrong in names.dns_label(metadata.namespace):
            causes.invalid(f"{path}.namespace", metadata.namespace, wrong)
    elif metadata.namespace:
        causes.forbidden(f"{path}.namespace", "not allowed on this type")
    labels(metadata.labels, causes, path=f"{path}.labels")
    annotated(metadata.annotations, causes, path=f"{path}.annotations")
    _owners(metadata, causes, path=path)
    for index, finalizer in enumerate(metadata.finalizers):
        _finalizer(finalizer, causes, path=f"{path}.finalizers[{index}]")


def labels(found: Mapping[str, str], causes: Causes, *, path: str) -> None:
    for key, value in found.items():
        for wrong in names.qualified(key):
            causes.invalid(path, key, wrong)
        for wrong in names.label_value(value):
            causes.invalid(path, value, wrong)


def annotated(found: Mapping[str, str], causes: Causes, *, path: str) -> None:
    size = 0
    for key, value in found.items():
        for wrong in names.qualified(key.lower()):
            causes.invalid(path, key, wrong)
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_BYTES_MAX:
        causes.too_long(path, ANNOTATIONS_BYTES_MAX)


def _owners(metadata: meta.ObjectMeta, causes: Causes, *, path: str) -> None:
    controllers = []
    for index, owner in enumerate(metadata.owner_references):
        at = f"{path}.ownerReferences[{index}]"
        if not owner.api_version:
            causes.invalid(f"{at}.apiVersion", "", "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not getattr(owner, field):
                causes.invalid(f"{at}.{field}", "", "must not be empty")
        if owner.controller:
            controllers.append(owner.name)
    if len(controllers) > 1:
        causes.invalid(f"{path}.ownerReferences", controllers, "Only one reference can have Controller set to true.")


def _finalizer(text: str, causes: Causes, *, path: str) -> None:
    for wrong in names.qualified(text):
        causes.invalid(path, text, wrong)
    if "/" not in text and text not in _OWN_FINALIZERS:
        causes.invalid(path, text, "name is neither a standard finalizer name nor is it fully qualified")


def label_selector(selector: meta.LabelSelector, causes: Causes, *, path: str) -> None:
    labels(selector.match_labels, causes, path=f"{path}.matchLabels")
    for index, term in enumerate(selector.match_expressions):
        at = f"{path}.matchExpressions[{index}]"
        for wrong in names.qualified(term.key):
            causes.invalid(f"{at}.key", term.key, wrong)
        if term.operator in ("In", "NotIn"):
            if not term.values:
                causes.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif term.operator in ("Exists", "DoesNotExist"):
            if term.values:
                causes.forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        else:
            causes.invalid(f"{at}.operator", term.operator, "not a valid selector operator")
        for position, value in enumerate(term.values):
            for wrong in names.label_value(value):
                causes.invalid(f"{at}.values[{position}]", value, wrong)


def update(new: meta.ObjectMeta, old: meta.ObjectMeta, causes: Causes) -> None:
    """What never changes, and finalizers, which may only go while the object is being deleted."""
    for field, path in (("name", "metadata.name"), ("namespace", "metadata.namespace"), ("uid", "metadata.uid")):
        if getattr(new, field) != getattr(old, field):
            causes.changed(path, getattr(new, field))
    if old.HasField("deletion_timestamp"):
        added = [one for one in new.finalizers if one not in old.finalizers]
        if added:
            causes.forbidden(
                "metadata.finalizers",
                f"no new finalizers can be added if the object is being deleted, found new finalizers {added}",
            )
