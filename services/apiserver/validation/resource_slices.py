"""What devices there are: slices of a pool, as a driver writes them."""

from __future__ import annotations

from raftsman.resource import v1 as resource

from . import affinity, device_claims, names, resources
from .causes import Causes

DEVICES_MAX = 128
ATTRIBUTES_MAX = 32
COUNTERS_MAX = 8
_VERSION_MAX = _STRING_MAX = 64


def resource_slice(found: resource.ResourceSlice, causes: Causes) -> None:
    spec = found.spec
    device_claims.driver(spec.driver, causes, path="spec.driver")
    device_claims.pool(spec.pool.name, causes, path="spec.pool.name")
    if spec.pool.resource_slice_count <= 0:
        causes.invalid("spec.pool.resourceSliceCount", spec.pool.resource_slice_count, "must be greater than zero")
    if spec.pool.generation < 0:
        causes.invalid("spec.pool.generation", spec.pool.generation, "must be greater than or equal to zero")
    _where(spec, causes)
    if len(spec.devices) > DEVICES_MAX:
        causes.too_many("spec.devices", len(spec.devices), DEVICES_MAX)
    if len(spec.shared_counters) > COUNTERS_MAX:
        causes.too_many("spec.sharedCounters", len(spec.shared_counters), COUNTERS_MAX)
    seen: set[str] = set()
    for index, device in enumerate(spec.devices):
        at = f"spec.devices[{index}]"
        if not device.name:
            causes.required(f"{at}.name")
        for wrong in names.dns_label(device.name) if device.name else ():
            causes.invalid(f"{at}.name", device.name, wrong)
        if device.name in seen:
            causes.duplicate(f"{at}.name", device.name)
        seen.add(device.name)
        _device(device, causes, path=at, own_nodes=spec.per_device_node_selection)


def _where(spec: resource.ResourceSliceSpec, causes: Causes) -> None:
    """One way of saying which nodes have the devices."""
    given = [
        word
        for word, is_set in (
            ("nodeName", bool(spec.node_name)), ("nodeSelector", spec.HasField("node_selector")),
            ("allNodes", spec.all_nodes), ("perDeviceNodeSelection", spec.per_device_node_selection),
        )
        if is_set
    ]  # fmt: skip
    ways = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        causes.required("spec", ways)
    elif len(given) > 1:
        causes.invalid("spec", "{" + ", ".join(given) + "}", f"{ways}, but multiple fields are set")
    if spec.node_name:
        for wrong in names.dns_subdomain(spec.node_name):
            causes.invalid("spec.nodeName", spec.node_name, wrong)
    if spec.HasField("node_selector"):
        affinity.node_selector(spec.node_selector, causes, path="spec.nodeSelector")


def _device(found: resource.Device, causes: Causes, *, path: str, own_nodes: bool) -> None:
    total = len(found.attributes) + len(found.capacity)
    if total > ATTRIBUTES_MAX:
        causes.invalid(path, total, f"the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}")
    for name, value in found.attributes.items():
        at = f"{path}.attributes[{name}]"
        device_claims.attribute(name, causes, path=at)
        _value(value, causes, path=at)
    for name, capacity in found.capacity.items():
        device_claims.attribute(name, causes, path=f"{path}.capacity[{name}]")
        resources.one(capacity.value, causes, path=f"{path}.capacity[{name}].value")
    for index, taint in enumerate(found.taints):
        device_claims.taint(taint, causes, path=f"{path}.taints[{index}]")
    if found.HasField("node_selector"):
        affinity.node_selector(found.node_selector, causes, path=f"{path}.nodeSelector")
    places = [found.HasField("node_name"), found.HasField("node_selector"), found.all_nodes]
    if own_nodes and sum(places) != 1:
        why = (
            "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is true"
        )
        causes.required(path, why)
    elif not own_nodes and any(places):
        why = "its nodes may only be set when `perDeviceNodeSelection` is true in the ResourceSlice spec"
        causes.invalid(path, found.name, why)


def _value(found: resource.DeviceAttribute, causes: Causes, *, path: str) -> None:
    given = found.ListFields()
    if not given:
        causes.required(path, "exactly one value must be specified")
    elif len(given) > 1:
        causes.invalid(path, found, "exactly one value must be specified")
    for word, text, limit in (("string", found.string, _STRING_MAX), ("version", found.version, _VERSION_MAX)):
        if len(text) > limit:
            causes.too_long(f"{path}.{word}", limit)


def update(new: resource.ResourceSlice, old: resource.ResourceSlice, causes: Causes) -> None:
    resource_slice(new, causes)
    for word, field in (("driver", "driver"), ("nodeName", "node_name")):
        if getattr(new.spec, field) != getattr(old.spec, field):
            causes.changed(f"spec.{word}", getattr(new.spec, field))
    if new.spec.pool.name != old.spec.pool.name:
        causes.changed("spec.pool.name", new.spec.pool.name)
