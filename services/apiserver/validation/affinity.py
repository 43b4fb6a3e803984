"""Where a pod wants to be: near nodes, near or far from other pods, spread over the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raftsman.core import v1 as core

from . import metadata, names
from .causes import Causes

_WEIGHT = "must be in the range 1-100"
_UNSATISFIABLE = frozenset({"DoNotSchedule", "ScheduleAnyway"})
_HONOUR = frozenset({"Honor", "Ignore"})
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity(found: core.Affinity, causes: Causes, *, path: str) -> None:
    if found.HasField("node_affinity"):
        _node_affinity(found.node_affinity, causes, path=f"{path}.nodeAffinity")
    for word, pods in (("podAffinity", found.pod_affinity), ("podAntiAffinity", found.pod_anti_affinity)):
        _pod_affinity(pods, causes, path=f"{path}.{word}")


def _node_affinity(found: core.NodeAffinity, causes: Causes, *, path: str) -> None:
    if found.HasField("required_during_scheduling_ignored_during_execution"):
        required = found.required_during_scheduling_ignored_during_execution
        node_selector(required, causes, path=f"{path}.{_REQUIRED}")
    for index, term in enumerate(found.preferred_during_scheduling_ignored_during_execution):
        at = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= term.weight <= 100:
            causes.invalid(f"{at}.weight", term.weight, _WEIGHT)
        _node_term(term.preference, causes, path=f"{at}.preference")


def node_selector(found: core.NodeSelector, causes: Causes, *, path: str) -> None:
    """Terms of which a node must fulfil one."""
    if not found.node_selector_terms:
        causes.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(found.node_selector_terms):
        _node_term(term, causes, path=f"{path}.nodeSelectorTerms[{index}]")


def _node_term(found: core.NodeSelectorTerm, causes: Causes, *, path: str) -> None:
    for index, requirement in enumerate(found.match_expressions):
        _requirement(requirement, causes, path=f"{path}.matchExpressions[{index}]")
    for index, requirement in enumerate(found.match_fields):
        _field_requirement(requirement, causes, path=f"{path}.matchFields[{index}]")


def _requirement(found: core.NodeSelectorRequirement, causes: Causes, *, path: str) -> None:
    for wrong in names.qualified(found.key):
        causes.invalid(f"{path}.key", found.key, wrong)
    match found.operator:
        case "In" | "NotIn":
            if not found.values:
                causes.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if found.values:
                causes.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        case "Gt" | "Lt":
            if len(found.values) != 1:
                causes.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            causes.invalid(f"{path}.operator", found.operator, "not a valid selector operator")
    if found.operator in ("In", "NotIn"):
        for index, value in enumerate(found.values):
            for wrong in names.label_value(value):
                causes.invalid(f"{path}.values[{index}]", value, wrong)


def _field_requirement(found: core.NodeSelectorRequirement, causes: Causes, *, path: str) -> None:
    if found.operator not in ("In", "NotIn"):
        causes.invalid(f"{path}.operator", found.operator, "not a valid selector operator")
    elif len(found.values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.required(f"{path}.values", why)
    if found.key != "metadata.name":
        causes.invalid(f"{path}.key", found.key, "not a valid field selector key")
        return
    for index, value in enumerate(found.values):
        for wrong in names.dns_subdomain(value):
            causes.invalid(f"{path}.values[{index}]", value, wrong)


def _pod_affinity(found: core.PodAffinity | core.PodAntiAffinity, causes: Causes, *, path: str) -> None:
    for index, term in enumerate(found.required_during_scheduling_ignored_during_execution):
        _pod_term(term, causes, path=f"{path}.{_REQUIRED}[{index}]")
    for index, weighted in enumerate(found.preferred_during_scheduling_ignored_during_execution):
        at = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= weighted.weight <= 100:
            causes.invalid(f"{at}.weight", weighted.weight, _WEIGHT)
        _pod_term(weighted.pod_affinity_term, causes, path=f"{at}.podAffinityTerm")


def _pod_term(found: core.PodAffinityTerm, causes: Causes, *, path: str) -> None:
    metadata.label_selector(found.label_selector, causes, path=f"{path}.labelSelector")
    metadata.label_selector(found.namespace_selector, causes, path=f"{path}.namespaceSelector")
    for name in found.namespaces:
        for wrong in names.dns_label(name):
            causes.invalid(f"{path}.namespace", name, wrong)
    _label_keys(found, found.match_label_keys, causes, path=f"{path}.matchLabelKeys")
    _label_keys(found, found.mismatch_label_keys, causes, path=f"{path}.mismatchLabelKeys")
    for key in found.match_label_keys:
        if key in found.mismatch_label_keys:
            causes.invalid(f"{path}.matchLabelKeys", key, "exists in both matchLabelKeys and mismatchLabelKeys")
    _topology(found.topology_key, causes, path=f"{path}.topologyKey")


def _label_keys(
    found: core.PodAffinityTerm | core.TopologySpreadConstraint, keys: Iterable[str], causes: Causes, *, path: str
) -> None:
    """Keys whose values the pod's own labels give; they need a selector to join and are not in it already."""
    listed = list(keys)
    if listed and not found.HasField("label_selector"):
        causes.forbidden(path, "must not be specified when labelSelector is not set")
    for index, key in enumerate(listed):
        for wrong in names.qualified(key):
            causes.invalid(f"{path}[{index}]", key, wrong)
        if key in found.label_selector.match_labels or any(
            term.key == key for term in found.label_selector.match_expressions
        ):
            causes.invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector")


def _topology(key: str, causes: Causes, *, path: str) -> None:
    if not key:
        causes.required(path, "can not be empty")
        return
    for wrong in names.qualified(key):
        causes.invalid(path, key, wrong)


def spread(found: Sequence[core.TopologySpreadConstraint], causes: Causes, *, path: str) -> None:
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(found):
        at = f"{path}[{index}]"
        if one.max_skew <= 0:
            causes.invalid(f"{at}.maxSkew", one.max_skew, "must be greater than zero")
        _topology(one.topology_key, causes, path=f"{at}.topologyKey")
        if one.when_unsatisfiable not in _UNSATISFIABLE:
            causes.not_supported(f"{at}.whenUnsatisfiable", one.when_unsatisfiable, _UNSATISFIABLE)
        pair = (one.topology_key, one.when_unsatisfiable)
        if pair in seen:
            causes.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)
        _domains(one, causes, path=f"{at}.minDomains")
        for word, value in (
            ("nodeAffinityPolicy", one.node_affinity_policy), ("nodeTaintsPolicy", one.node_taints_policy),
        ):  # fmt: skip
            if value and value not in _HONOUR:
                causes.not_supported(f"{at}.{word}", value, _HONOUR)
        metadata.label_selector(one.label_selector, causes, path=f"{at}.labelSelector")
        _label_keys(one, one.match_label_keys, causes, path=f"{at}.matchLabelKeys")


def _domains(found: core.TopologySpreadConstraint, causes: Causes, *, path: str) -> None:
    if not found.HasField("min_domains"):
        return
    if found.min_domains <= 0:
        causes.invalid(path, found.min_domains, "must be greater than zero")
    if found.when_unsatisfiable != "DoNotSchedule":
        why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {found.when_unsatisfiable}"
        causes.invalid(path, found.min_domains, why)
