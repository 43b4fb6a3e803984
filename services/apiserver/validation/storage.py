"""Storage classes, CSI drivers and what they say of nodes, capacity, attachments and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raftsman.core import v1 as core
from raftsman.storage import v1 as storage

from . import metadata, names, numbers, resources
from .causes import Causes

_PARAMETERS_MAX = 512
_PARAMETERS_BYTES_MAX = 256 * 1024
_MESSAGE_BYTES_MAX = 1024
_NODE_ID_BYTES_MAX = 256
_DRIVER_NAME_MAX = 63
_ALLOCATABLE_PERIOD_MIN_S = 10
_TOKEN_MIN_S, _TOKEN_MAX_S = 600, 1 << 32
_RECLAIM = ("Delete", "Retain")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_FS_GROUP = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE = ("Ephemeral", "Persistent")
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def storage_class(found: storage.StorageClass, causes: Causes) -> None:
    """Who provisions, with what parameters, where and for how long."""
    _provisioner(found.provisioner, causes, path="provisioner")
    _parameters(found.parameters, causes, path="parameters")
    if found.reclaim_policy and found.reclaim_policy not in _RECLAIM:
        causes.not_supported("reclaimPolicy", found.reclaim_policy, _RECLAIM)
    if found.volume_binding_mode not in _BINDING:
        causes.not_supported("volumeBindingMode", found.volume_binding_mode, _BINDING)
    seen: list[Mapping[str, frozenset[str]]] = []
    for index, term in enumerate(found.allowed_topologies):
        at = f"allowedTopologies[{index}].matchLabelExpressions"
        meant = _topology(term, causes, path=at)
        if meant in seen:
            causes.duplicate(at, "")
        seen.append(meant)


def _topology(found: core.TopologySelectorTerm, causes: Causes, *, path: str) -> Mapping[str, frozenset[str]]:
    meant: dict[str, frozenset[str]] = {}
    for index, one in enumerate(found.match_label_expressions):
        at = f"{path}[{index}]"
        if not one.values:
            causes.required(f"{at}.values")
        seen: set[str] = set()
        for position, value in enumerate(one.values):
            if value in seen:
                causes.duplicate(f"{at}.values[{position}]", value)
            seen.add(value)
        for wrong in names.qualified(one.key):
            causes.invalid(f"{at}.key", one.key, wrong)
        if one.key in meant:
            causes.duplicate(f"{at}.key", one.key)
        meant[one.key] = frozenset(one.values)
    return meant


def storage_class_update(new: storage.StorageClass, old: storage.StorageClass, causes: Causes) -> None:
    """Volumes were made by it: only whether they may grow, and how they are mounted, changes."""
    _fixed(causes, parameters=(dict(new.parameters), dict(old.parameters)), provisioner=(
        new.provisioner, old.provisioner), reclaimPolicy=(new.reclaim_policy, old.reclaim_policy))  # fmt: skip
    if new.volume_binding_mode != old.volume_binding_mode:
        causes.changed("volumeBindingMode", new.volume_binding_mode)
    storage_class(new, causes)


def _fixed(causes: Causes, **fields: tuple[Any, Any]) -> None:
    for word, (now, before) in fields.items():
        if now != before:
            causes.change_forbidden(word, f"updates to {word} are forbidden.")


def _provisioner(text: str, causes: Causes, *, path: str) -> None:
    if not text:
        causes.required(path)
        return
    for wrong in names.qualified(text.lower()):
        causes.invalid(path, text.lower(), wrong)


def _parameters(found: Mapping[str, str], causes: Causes, *, path: str, needed: bool = False) -> None:
    if len(found) > _PARAMETERS_MAX:
        causes.too_long(path, _PARAMETERS_MAX)
        return
    if "" in found:
        causes.invalid(path, "", "field can not be empty.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > _PARAMETERS_BYTES_MAX:
        causes.too_long(path, _PARAMETERS_BYTES_MAX)
    if needed and not found:
        causes.required(path, "must contain at least one key/value pair")


def attributes_class(found: storage.VolumeAttributesClass, causes: Causes) -> None:
    """Whose attributes, and which."""
    _provisioner(found.driver_name, causes, path="driverName")
    _parameters(found.parameters, causes, path="parameters", needed=True)


def attributes_class_update(
    new: storage.VolumeAttributesClass, old: storage.VolumeAttributesClass, causes: Causes
) -> None:
    """Nothing changes."""
    _fixed(causes, driverName=(new.driver_name, old.driver_name), parameters=(
        dict(new.parameters), dict(old.parameters)))  # fmt: skip
    attributes_class(new, causes)


def driver_name(text: str, causes: Causes, *, path: str) -> None:
    """What a CSI driver calls itself."""
    if not text:
        causes.required(path)
    if len(text) > _DRIVER_NAME_MAX:
        causes.too_long(path, _DRIVER_NAME_MAX)
    for wrong in names.dns_subdomain(text.lower()) if text else ():
        causes.invalid(path, text, wrong)


def csi_driver(found: storage.CSIDriver, causes: Causes) -> None:
    """What the cluster does for a driver."""
    spec = found.spec
    if spec.HasField("fs_group_policy") and spec.fs_group_policy not in _FS_GROUP:
        causes.not_supported("spec.fsGroupPolicy", spec.fs_group_policy, _FS_GROUP)
    for mode in spec.volume_lifecycle_modes:
        if mode not in _LIFECYCLE:
            causes.not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLE)
    period = spec.node_allocatable_update_period_seconds
    if spec.HasField("node_allocatable_update_period_seconds") and period < _ALLOCATABLE_PERIOD_MIN_S:
        causes.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, "must be greater than or equal to 10 seconds")
    _token_requests(spec.token_requests, causes, path="spec.tokenRequests")


def _token_requests(found: Sequence[storage.TokenRequest], causes: Causes, *, path: str) -> None:
    audiences: set[str] = set()
    for index, request in enumerate(found):
        at, seconds = f"{path}[{index}]", request.expiration_seconds
        if request.audience in audiences:
            causes.duplicate(f"{at}.audience", request.audience)
            continue
        audiences.add(request.audience)
        if not request.HasField("expiration_seconds"):
            continue
        if seconds < _TOKEN_MIN_S:
            causes.invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        if seconds > _TOKEN_MAX_S:
            causes.invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def csi_driver_update(new: storage.CSIDriver, old: storage.CSIDriver, causes: Causes) -> None:
    """Whether volumes are attached, and how long they live, was decided when pods began to use them."""
    csi_driver(new, causes)
    if new.spec.attach_required != old.spec.attach_required:
        causes.changed("spec.attachedRequired", new.spec.attach_required)
    if new.spec.volume_lifecycle_modes != old.spec.volume_lifecycle_modes:
        causes.changed("spec.volumeLifecycleModes", list(new.spec.volume_lifecycle_modes))


def csi_node(found: storage.CSINode, causes: Causes) -> None:
    """The drivers of a node, each once."""
    seen: set[str] = set()
    for index, driver in enumerate(found.spec.drivers):
        at = f"spec.drivers[{index}]"
        driver_name(driver.name, causes, path=f"{at}.name")
        if driver.name in seen:
            causes.duplicate(f"{at}.name", driver.name)
        seen.add(driver.name)
        if not driver.node_id:
            causes.required(f"{at}.nodeID")
        if len(driver.node_id.encode()) > _NODE_ID_BYTES_MAX:
            causes.invalid(f"{at}.nodeID", driver.node_id, f"must be {_NODE_ID_BYTES_MAX} characters or less")
        if driver.allocatable.count < 0:
            causes.invalid(f"{at}.allocatable.count", driver.allocatable.count, numbers.NOT_NEGATIVE)
        _topology_keys(driver.topology_keys, causes, path=at)


def _topology_keys(found: Sequence[str], causes: Causes, *, path: str) -> None:
    keys: set[str] = set()
    for key in found:
        if not key:
            causes.required(path)
        if key in keys:
            causes.duplicate(path, key)
        keys.add(key)
        for wrong in names.qualified(key):
            causes.invalid(path, key, wrong)


def csi_node_update(new: storage.CSINode, old: storage.CSINode, causes: Causes) -> None:
    """A driver that is there keeps what it said, except how many volumes it takes."""
    csi_node(new, causes)
    before = {driver.name: driver for driver in old.spec.drivers}
    for driver in new.spec.drivers:
        if driver.name not in before:
            continue
        one, other = storage.CSINodeDriver(), storage.CSINodeDriver()
        one.CopyFrom(driver)
        other.CopyFrom(before[driver.name])
        one.ClearField("allocatable")
        other.ClearField("allocatable")
        if one != other:
            causes.changed("spec.drivers", driver)


def capacity(found: storage.CSIStorageCapacity, causes: Causes) -> None:
    """How much of a class there is, and where."""
    metadata.label_selector(found.node_topology, causes, path="nodeTopology")
    for wrong in names.dns_subdomain(found.storage_class_name):
        causes.invalid("storageClassName", found.storage_class_name, wrong)
    for field, word in (("capacity", "capacity"), ("maximum_volume_size", "maximumVolumeSize")):
        if found.HasField(field):  # type: ignore[arg-type]
            resources.one(getattr(found, field), causes, path=word)


def capacity_update(new: storage.CSIStorageCapacity, old: storage.CSIStorageCapacity, causes: Causes) -> None:
    """Another topology or class is another object."""
    capacity(new, causes)
    if new.node_topology != old.node_topology:
        causes.changed("nodeTopology", new.node_topology)
    if new.storage_class_name != old.storage_class_name:
        causes.changed("storageClassName", new.storage_class_name)


def attachment(found: storage.VolumeAttachment, causes: Causes) -> None:
    """Which volume is to be attached to which node, by whom."""
    spec, source = found.spec, found.spec.source
    driver_name(spec.attacher, causes, path="spec.attacher")
    named, inline = source.HasField("persistent_volume_name"), source.HasField("inline_volume_spec")
    if not named and not inline:
        causes.required("spec.source", _ONE_SOURCE)
    elif named and inline:
        causes.forbidden("spec.source", _ONE_SOURCE)
    elif named and not source.persistent_volume_name:
        causes.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
    for wrong in names.dns_subdomain(source.persistent_volume_name) if source.persistent_volume_name else ():
        causes.invalid("spec.source.persistentVolumeName", source.persistent_volume_name, wrong)
    for wrong in names.dns_subdomain(spec.node_name):
        causes.invalid("spec.nodeName", spec.node_name, wrong)


def attachment_update(new: storage.VolumeAttachment, old: storage.VolumeAttachment, causes: Causes) -> None:
    """The spec stays."""
    attachment(new, causes)
    if new.spec != old.spec:
        causes.changed("spec", new.spec)


def attachment_status(new: storage.VolumeAttachment, old: storage.VolumeAttachment, causes: Causes) -> None:
    """What the driver says has a bound."""
    status = new.status
    size = sum(len(key.encode()) + len(value.encode()) for key, value in status.attachment_metadata.items())
    if size > _PARAMETERS_BYTES_MAX:
        causes.too_long("status.attachmentMetadata", _PARAMETERS_BYTES_MAX)
    for word, error in (("attachError", status.attach_error), ("detachError", status.detach_error)):
        if len(error.message.encode()) > _MESSAGE_BYTES_MAX:
            causes.too_long(f"status.{word}.message", _MESSAGE_BYTES_MAX)
        if error.error_code < 0:
            causes.invalid(f"status.{word}.errorCode", error.error_code, "must be between 0 and 2147483647, inclusive")
