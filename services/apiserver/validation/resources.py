"""Amounts of compute resources: names, quantities, and requests within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raftsman import quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import names
from .causes import Causes

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_NOT_NEGATIVE = "must be greater than or equal to 0"


def requirements(found: core.ResourceRequirements, causes: Causes, *, path: str) -> None:
    limits = amounts(found.limits, causes, path=f"{path}.limits", container=True)
    requests = amounts(found.requests, causes, path=f"{path}.requests", container=True)
    _huge_pages(limits, requests, causes, path=path)
    for name, request in requests.items():
        limit = limits.get(name)
        at = f"{path}.requests"
        if limit is None:
            if _is_extended(name) or name.startswith(_HUGE_PAGES):
                causes.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif limit < request:
            causes.invalid(at, str(request), f"must be less than or equal to {name} limit of {limit}")
        elif (_is_extended(name) or name.startswith(_HUGE_PAGES)) and limit != request:
            causes.invalid(at, str(request), f"must be equal to {name} limit of {limit}")


def _huge_pages(
    limits: dict[str, quantity.Quantity], requests: dict[str, quantity.Quantity], causes: Causes, *, path: str
) -> None:
    """They cannot be overcommitted, and nothing runs on them alone."""
    used = {name for name in (*limits, *requests) if name.startswith(_HUGE_PAGES)}
    if used and not {"cpu", "memory"} & {*limits, *requests}:
        causes.forbidden(path, "HugePages require cpu or memory")


def claimed(
    found: core.ResourceRequirements, causes: Causes, *, path: str, claims: Sequence[core.PodResourceClaim]
) -> None:
    """Claims of devices are the pod's, each once."""
    known = {claim.name for claim in claims}
    seen: set[tuple[str, str]] = set()
    for index, claim in enumerate(found.claims):
        at = f"{path}.claims[{index}]"
        if not claim.name:
            causes.required(f"{at}.name")
        elif claim.name not in known:
            causes.not_found(f"{at}.name", claim.name)
        if (claim.name, claim.request) in seen:
            causes.duplicate(at, f"{claim.name}/{claim.request}" if claim.request else claim.name)
        seen.add((claim.name, claim.request))


def amounts(
    found: Mapping[str, meta.Quantity], causes: Causes, *, path: str, container: bool = False
) -> dict[str, quantity.Quantity]:
    """The valid amounts among `found`."""
    valid = {}
    for name, amount in found.items():
        at = f"{path}[{name}]"
        for wrong in names.qualified(name):
            causes.invalid(path, name, wrong)
        if container and "/" not in name and name not in _STANDARD and not name.startswith(_HUGE_PAGES):
            causes.invalid(at, name, "must be a standard resource for containers")
        parsed = one(amount, causes, path=at)
        if parsed is not None:
            valid[name] = parsed
    return valid


def one(found: meta.Quantity, causes: Causes, *, path: str) -> quantity.Quantity | None:
    """A quantity that is not negative, or None and a cause."""
    try:
        parsed = quantity.parse(found.string)
    except quantity.QuantityError as error:
        causes.invalid(path, found.string, str(error))
        return None
    if parsed.milli < 0:
        causes.invalid(path, found.string, _NOT_NEGATIVE)
        return None
    return parsed


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith("kubernetes.io/")


def positive(found: meta.Quantity, causes: Causes, *, path: str) -> quantity.Quantity | None:
    """A quantity above zero, or None and a cause."""
    parsed = one(found, causes, path=path)
    if parsed is not None and parsed.nano <= 0:
        causes.invalid(path, found.string, "must be greater than zero")
        return None
    return parsed
