"""Claims of devices, their templates, and the classes that they ask for (resource.k8s.io)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from raftsman.resource import v1 as resource

from . import affinity, names, pods
from .causes import Causes

REQUESTS_MAX = CONSTRAINTS_MAX = CONFIG_MAX = SELECTORS_MAX = 32
FIRST_MAX = 8
RESERVED_MAX = 256
TOLERATIONS_MAX = 16
EXPRESSION_BYTES_MAX = 10 << 10
PARAMETER_BYTES_MAX = 10 << 10
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_MODES = ("All", "ExactCount")
_C_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
Request = resource.ExactDeviceRequest | resource.DeviceSubRequest


def claim(found: resource.ResourceClaim, causes: Causes) -> None:
    claim_spec(found.spec, causes, path="spec")


def claim_update(new: resource.ResourceClaim, old: resource.ResourceClaim, causes: Causes) -> None:
    if new.spec != old.spec:
        causes.changed("spec", new.spec)
    claim(new, causes)


def template(found: resource.ResourceClaimTemplate, causes: Causes) -> None:
    claim_spec(found.spec.spec, causes, path="spec.spec")


def template_update(new: resource.ResourceClaimTemplate, old: resource.ResourceClaimTemplate, causes: Causes) -> None:
    if new.spec != old.spec:
        causes.changed("spec", new.spec)
    template(new, causes)


def claim_spec(spec: resource.ResourceClaimSpec, causes: Causes, *, path: str) -> None:
    devices, at = spec.devices, f"{path}.devices"
    known: set[str] = set()
    _at_most(devices.requests, REQUESTS_MAX, causes, path=f"{at}.requests")
    for index, request in enumerate(devices.requests):
        where = f"{at}.requests[{index}]"
        _name(request.name, known, causes, path=f"{where}.name")
        _request(request, causes, path=where)
    known |= {f"{one.name}/{sub.name}" for one in devices.requests for sub in one.first_available}
    _at_most(devices.constraints, CONSTRAINTS_MAX, causes, path=f"{at}.constraints")
    for index, constraint in enumerate(devices.constraints):
        _constraint(constraint, causes, path=f"{at}.constraints[{index}]", known=known)
    _at_most(devices.config, CONFIG_MAX, causes, path=f"{at}.config")
    for index, config in enumerate(devices.config):
        where = f"{at}.config[{index}]"
        _references(config.requests, known, causes, path=f"{where}.requests")
        configuration(config.device_configuration, causes, path=where)


def _at_most(found: Sequence[object], limit: int, causes: Causes, *, path: str) -> None:
    if len(found) > limit:
        causes.too_many(path, len(found), limit)


def _name(name: str, seen: set[str], causes: Causes, *, path: str) -> None:
    """A label, unique among `seen`, which it joins."""
    if not name:
        causes.required(path)
        return
    for wrong in names.dns_label(name):
        causes.invalid(path, name, wrong)
    if name in seen:
        causes.duplicate(path, name)
    seen.add(name)


def _request(request: resource.DeviceRequest, causes: Causes, *, path: str) -> None:
    exact, first = request.HasField("exactly"), request.first_available
    if exact and first:
        causes.invalid(path, request, "exactly one of `exactly` or `firstAvailable` must be specified")
    elif not exact and not first:
        causes.required(path, "exactly one of `exactly` or `firstAvailable` is required")
    if exact:
        _asked(request.exactly, causes, path=f"{path}.exactly")
    _at_most(first, FIRST_MAX, causes, path=f"{path}.firstAvailable")
    seen: set[str] = set()
    for index, sub in enumerate(first):
        at = f"{path}.firstAvailable[{index}]"
        _name(sub.name, seen, causes, path=f"{at}.name")
        _asked(sub, causes, path=at)


def _asked(request: Request, causes: Causes, *, path: str) -> None:
    at = f"{path}.deviceClassName"
    if not request.device_class_name:
        causes.required(at)
    else:
        for wrong in names.dns_subdomain(request.device_class_name):
            causes.invalid(at, request.device_class_name, wrong)
    selectors(request.selectors, causes, path=f"{path}.selectors")
    if request.allocation_mode not in _MODES:
        causes.not_supported(f"{path}.allocationMode", request.allocation_mode, _MODES)
    elif request.allocation_mode == "All" and request.count:
        why = "must not be specified when allocationMode is 'All'"
        causes.invalid(f"{path}.count", request.count, why)
    elif request.allocation_mode == "ExactCount" and request.count <= 0:
        causes.invalid(f"{path}.count", request.count, "must be greater than zero")
    _at_most(request.tolerations, TOLERATIONS_MAX, causes, path=f"{path}.tolerations")
    for index, one in enumerate(request.tolerations):
        where = f"{path}.tolerations[{index}]"
        if one.key:
            for wrong in names.qualified(one.key):
                causes.invalid(f"{where}.key", one.key, wrong)
        if one.operator not in ("Exists", "Equal"):
            causes.not_supported(f"{where}.operator", one.operator, ("Equal", "Exists"))
        if one.operator == "Exists" and one.value:
            causes.invalid(f"{where}.value", one.value, "must be empty for operator `Exists`")
        if one.effect and one.effect not in pods.EFFECTS:
            causes.not_supported(f"{where}.effect", one.effect, pods.EFFECTS)


def selectors(found: Sequence[resource.DeviceSelector], causes: Causes, *, path: str) -> None:
    _at_most(found, SELECTORS_MAX, causes, path=path)
    for index, one in enumerate(found):
        at = f"{path}[{index}].cel"
        if not one.HasField("cel"):
            causes.required(at)
        elif not one.cel.expression:
            causes.required(f"{at}.expression")
        elif len(one.cel.expression.encode()) > EXPRESSION_BYTES_MAX:
            causes.too_long(f"{at}.expression", EXPRESSION_BYTES_MAX)


def _constraint(found: resource.DeviceConstraint, causes: Causes, *, path: str, known: set[str]) -> None:
    _references(found.requests, known, causes, path=f"{path}.requests")
    if not found.HasField("match_attribute") and not found.HasField("distinct_attribute"):
        causes.required(f"{path}.matchAttribute")
    for word, value in (
        ("matchAttribute", found.match_attribute), ("distinctAttribute", found.distinct_attribute),
    ):  # fmt: skip
        if value:
            attribute(value, causes, path=f"{path}.{word}")
            if "/" not in value:
                why = "a fully qualified name must be a domain and a name separated by a slash"
                causes.invalid(f"{path}.{word}", value, why)


def attribute(name: str, causes: Causes, *, path: str) -> None:
    """`[domain/]identifier`."""
    domain, slash, identifier = name.rpartition("/")
    if slash:
        for wrong in names.dns_subdomain(domain):
            causes.invalid(path, name, wrong)
    if not _C_IDENTIFIER.fullmatch(identifier):
        why = (
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName')"
        )
        causes.invalid(path, name, why)


def _references(found: Iterable[str], known: set[str], causes: Causes, *, path: str) -> None:
    for index, name in enumerate(found):
        if name not in known:
            causes.invalid(f"{path}[{index}]", name, _REFERENCE)


def configuration(found: resource.DeviceConfiguration, causes: Causes, *, path: str) -> None:
    at = f"{path}.opaque"
    if not found.HasField("opaque"):
        causes.required(at)
        return
    driver(found.opaque.driver, causes, path=f"{at}.driver")
    if not found.opaque.HasField("parameters"):
        causes.required(f"{at}.parameters")
    elif len(found.opaque.parameters.raw) > PARAMETER_BYTES_MAX:
        causes.too_long(f"{at}.parameters", PARAMETER_BYTES_MAX)


def driver(name: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(path)
    elif len(name) > names.LABEL_MAX:
        causes.too_long(path, names.LABEL_MAX)
    for wrong in names.dns_subdomain(name.lower()) if name else ():
        causes.invalid(path, name, wrong)


def device_class(found: resource.DeviceClass, causes: Causes) -> None:
    selectors(found.spec.selectors, causes, path="spec.selectors")
    _at_most(found.spec.config, CONFIG_MAX, causes, path="spec.config")
    for index, config in enumerate(found.spec.config):
        configuration(config.device_configuration, causes, path=f"spec.config[{index}]")
    extended = found.spec.extended_resource_name
    if found.spec.HasField("extended_resource_name"):
        for wrong in names.qualified(extended):
            causes.invalid("spec.extendedResourceName", extended, wrong)


def device_class_update(new: resource.DeviceClass, old: resource.DeviceClass, causes: Causes) -> None:
    device_class(new, causes)


# Status


def claim_status(new: resource.ResourceClaim, old: resource.ResourceClaim, causes: Causes) -> None:
    status, before = new.status, old.status
    if status.HasField("allocation") and before.HasField("allocation") and status.allocation != before.allocation:
        causes.changed("status.allocation", status.allocation)
    _reserved(new, old, causes)
    names_ = {request.name for request in new.spec.devices.requests}
    for index, result in enumerate(status.allocation.devices.results):
        at = f"status.allocation.devices.results[{index}]"
        if result.request.partition("/")[0] not in names_:
            causes.invalid(f"{at}.request", result.request, _REFERENCE)
        driver(result.driver, causes, path=f"{at}.driver")
        pool(result.pool, causes, path=f"{at}.pool")
        for wrong in names.dns_label(result.device):
            causes.invalid(f"{at}.device", result.device, wrong)
    if status.allocation.HasField("node_selector"):
        affinity.node_selector(status.allocation.node_selector, causes, path="status.allocation.nodeSelector")
    allocated = {(one.driver, one.pool, one.device) for one in status.allocation.devices.results}
    for index, device in enumerate(status.devices):
        if (device.driver, device.pool, device.device) not in allocated:
            why = "must be an allocated device in the claim"
            causes.invalid(f"status.devices[{index}]", f"{device.driver}/{device.pool}/{device.device}", why)


def _reserved(new: resource.ResourceClaim, old: resource.ResourceClaim, causes: Causes) -> None:
    path, found = "status.reservedFor", new.status.reserved_for
    if len(found) > RESERVED_MAX:
        causes.too_many(path, len(found), RESERVED_MAX)
    if found and not new.status.HasField("allocation"):
        causes.forbidden(path, "may not be specified when `allocated` is not set")
    before = {one.uid for one in old.status.reserved_for}
    seen: set[str] = set()
    for index, one in enumerate(found):
        for word in ("resource", "name", "uid"):
            if not getattr(one, word):
                causes.required(f"{path}[{index}].{word}")
        if one.uid in seen:
            causes.duplicate(f"{path}[{index}].uid", one.uid)
        seen.add(one.uid)
    if new.metadata.HasField("deletion_timestamp") and seen - before:
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        causes.forbidden(path, why)


def pool(name: str, causes: Causes, *, path: str) -> None:
    """Segments of a path, each a subdomain."""
    if not name:
        causes.required(path)
        return
    if len(name) > names.SUBDOMAIN_MAX:
        causes.too_long(path, names.SUBDOMAIN_MAX)
    for part in name.split("/"):
        for wrong in names.dns_subdomain(part):
            causes.invalid(path, part, wrong)


def taint(found: resource.DeviceTaint, causes: Causes, *, path: str) -> None:
    for wrong in names.qualified(found.key):
        causes.invalid(f"{path}.key", found.key, wrong)
    for wrong in names.label_value(found.value):
        causes.invalid(f"{path}.value", found.value, wrong)
    if not found.effect:
        causes.required(f"{path}.effect")
    elif found.effect not in pods.EFFECTS | {"None"}:
        causes.not_supported(f"{path}.effect", found.effect, pods.EFFECTS | {"None"})
