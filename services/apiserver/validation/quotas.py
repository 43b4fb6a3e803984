"""Limit ranges and resource quotas."""

from __future__ import annotations

from collections.abc import Mapping

from raftsman import quantity
from raftsman.core import v1 as core

from . import names, resources
from .causes import Causes

_TYPES = frozenset({"Container", "PersistentVolumeClaim", "Pod"})
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_QUOTA_NAMES = frozenset({
    *_COMPUTE, *(f"requests.{name}" for name in (*_COMPUTE, "storage")), *(f"limits.{name}" for name in _COMPUTE),
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_WHOLE = frozenset(name for name in _QUOTA_NAMES if "." not in name and name not in _COMPUTE) | {
    "services.nodeports", "services.loadbalancers",
}  # fmt: skip
_SCOPES = frozenset({
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
})  # fmt: skip
_CONFLICTING = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_VALUELESS = frozenset({"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity"})
Amounts = dict[str, quantity.Quantity]


def limit_range(found: core.LimitRange, causes: Causes) -> None:
    seen: set[str] = set()
    for index, item in enumerate(found.spec.limits):
        at = f"spec.limits[{index}]"
        for wrong in names.qualified(item.type):
            causes.invalid(f"{at}.type", item.type, wrong)
        if "/" not in item.type and item.type not in _TYPES:
            causes.invalid(f"{at}.type", item.type, "must be a standard limit type or fully qualified")
        if item.type in seen:
            causes.duplicate(f"{at}.type", item.type)
        seen.add(item.type)
        _item(item, causes, path=at)


def limit_range_update(new: core.LimitRange, old: core.LimitRange, causes: Causes) -> None:
    limit_range(new, causes)


def _item(item: core.LimitRangeItem, causes: Causes, *, path: str) -> None:
    if item.type == "Pod":
        for word, listed in (("default", item.default), ("defaultRequest", item.default_request)):
            if listed:
                causes.forbidden(f"{path}.{word}", "may not be specified when `type` is 'Pod'")
    if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
        why = "either minimum or maximum storage value is required, but neither was provided"
        causes.required(f"{path}.limits", why)
    least, most, limit, request, ratio = (
        resources.amounts(listed, causes, path=f"{path}.{word}")
        for word, listed in (
            ("min", item.min), ("max", item.max), ("default", item.default), ("defaultRequest", item.default_request),
            ("maxLimitRequestRatio", item.max_limit_request_ratio),
        )
    )  # fmt: skip
    _ordered(path, causes, least=least, most=most, limit=limit, request=request)
    for name, amount in ratio.items():
        at = f"{path}.maxLimitRequestRatio[{name}]"
        if amount < quantity.parse("1"):
            causes.invalid(at, str(amount), f"ratio {amount} is less than 1")
        if name in least and name in most and least[name].nano:
            widest = most[name].nano / least[name].nano
            if amount.nano / 10**9 > widest:
                causes.invalid(at, str(amount), f"ratio {amount} is greater than max/min = {widest:f}")


def _ordered(path: str, causes: Causes, *, least: Amounts, most: Amounts, limit: Amounts, request: Amounts) -> None:
    """min ≤ defaultRequest ≤ default ≤ max, as far as they are given."""
    pairs = (
        (least, most, "min", "min value", "max value"),
        (least, request, "defaultRequest", "min value", "default request value"),
        (request, most, "defaultRequest", "default request value", "max value"),
        (request, limit, "defaultRequest", "default request value", "default limit value"),
        (least, limit, "default", "min value", "default value"),
        (limit, most, "default", "default value", "max value"),
    )
    for small, large, word, small_word, large_word in pairs:
        for name in sorted(set(small) & set(large)):
            if small[name] > large[name]:
                told = {"min": least, "default": limit, "defaultRequest": request}[word][name]
                why = f"{small_word} {small[name]} is greater than {large_word} {large[name]}"
                causes.invalid(f"{path}.{word}[{name}]", str(told), why)


def resource_quota(found: core.ResourceQuota, causes: Causes) -> None:
    hard(found.spec.hard, causes, path="spec.hard")
    _scopes(found.spec, causes)
    for index, term in enumerate(found.spec.scope_selector.match_expressions):
        _scope_term(term, causes, path=f"spec.scopeSelector.matchExpressions[{index}]")


def hard(found: Mapping[str, object], causes: Causes, *, path: str) -> None:
    for name, amount in resources.amounts(found, causes, path=path).items():  # type: ignore[arg-type]
        at = f"{path}[{name}]"
        plain = name.removeprefix("requests.")
        if "/" not in name and name not in _QUOTA_NAMES and not plain.startswith(_HUGE_PAGES):
            causes.invalid(at, name, "must be a standard resource for quota")
        if (name in _WHOLE or name.startswith("count/")) and amount.nano % 10**9:
            causes.invalid(at, str(amount), "must be an integer")


def _scopes(spec: core.ResourceQuotaSpec, causes: Causes) -> None:
    scopes = list(spec.scopes)
    for scope in scopes:
        if scope not in _SCOPES:
            causes.invalid("spec.scopes", scopes, "unsupported scope")
        elif any(name in _QUOTA_NAMES and not _suits(scope, name) for name in spec.hard):
            causes.invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _CONFLICTING):
        causes.invalid("spec.scopes", scopes, "conflicting scopes")


def _suits(scope: str, name: str) -> bool:
    """Whether a scope means something for what is counted: for pods and what they ask for, or for claims."""
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return name == "pods" or name in _COMPUTE or name.startswith(("requests.", "limits."))


def _scope_term(term: core.ScopedResourceSelectorRequirement, causes: Causes, *, path: str) -> None:
    if term.scope_name not in _SCOPES:
        causes.invalid(f"{path}.scopeName", term.scope_name, "unsupported scope")
    values = list(term.values)
    if term.scope_name in _VALUELESS and term.operator != "Exists":
        why = (
            "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
            "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
            "ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        causes.invalid(f"{path}.operator", term.operator, why)
    match term.operator:
        case "In" | "NotIn":
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                causes.required(f"{path}.values", why)
        case "Exists" | "DoesNotExist":
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                causes.invalid(f"{path}.values", values, why)
        case _:
            causes.invalid(f"{path}.operator", term.operator, "not a valid selector operator")


def resource_quota_update(new: core.ResourceQuota, old: core.ResourceQuota, causes: Causes) -> None:
    resource_quota(new, causes)
    if sorted(new.spec.scopes) != sorted(old.spec.scopes):
        causes.changed("spec.scopes", list(new.spec.scopes))
    if new.spec.scope_selector != old.spec.scope_selector:
        causes.changed("spec.scopeSelector", new.spec.scope_selector)


def resource_quota_status(new: core.ResourceQuota, old: core.ResourceQuota, causes: Causes) -> None:
    hard(new.status.hard, causes, path="status.hard")
    hard(new.status.used, causes, path="status.used")
