"""Roles and bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsman.rbac import v1 as rbac

from . import metadata, names
from .causes import Causes

GROUP = "rbac.authorization.k8s.io"


def role(found: rbac.Role, causes: Causes) -> None:
    _rules(found.rules, causes, namespaced=True)


def cluster_role(found: rbac.ClusterRole, causes: Causes) -> None:
    _rules(found.rules, causes, namespaced=False)
    if found.HasField("aggregation_rule") and not found.aggregation_rule.cluster_role_selectors:
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        causes.required("aggregationRule.clusterRoleSelectors", why)
    for index, selector in enumerate(found.aggregation_rule.cluster_role_selectors):
        metadata.label_selector(selector, causes, path=f"aggregationRule.clusterRoleSelectors[{index}]")


def role_update(new: rbac.Role, old: rbac.Role, causes: Causes) -> None:
    role(new, causes)


def cluster_role_update(new: rbac.ClusterRole, old: rbac.ClusterRole, causes: Causes) -> None:
    cluster_role(new, causes)


def _rules(found: Sequence[rbac.PolicyRule], causes: Causes, *, namespaced: bool) -> None:
    for index, rule in enumerate(found):
        at = f"rules[{index}]"
        if not rule.verbs:
            causes.required(f"{at}.verbs", "verbs must contain at least one value")
        if rule.non_resource_urls:
            if namespaced:
                causes.invalid(
                    f"{at}.nonResourceURLs",
                    list(rule.non_resource_urls),
                    "namespaced rules cannot apply to non-resource URLs",
                )
            if rule.api_groups or rule.resources or rule.resource_names:
                causes.invalid(
                    f"{at}.nonResourceURLs",
                    list(rule.non_resource_urls),
                    "rules cannot apply to both regular resources and non-resource URLs",
                )
            continue
        if not rule.api_groups:
            causes.required(f"{at}.apiGroups", "resource rules must supply at least one api group")
        if not rule.resources:
            causes.required(f"{at}.resources", "resource rules must supply at least one resource")


def binding(found: Any, causes: Causes) -> None:
    """Of either scope."""
    cluster = isinstance(found, rbac.ClusterRoleBinding)
    ref = found.role_ref
    if ref.api_group != GROUP:
        causes.not_supported("roleRef.apiGroup", ref.api_group, (GROUP,))
    kinds = ("ClusterRole",) if cluster else ("ClusterRole", "Role")
    if ref.kind not in kinds:
        causes.not_supported("roleRef.kind", ref.kind, kinds)
    if not ref.name:
        causes.required("roleRef.name")
    for wrong in names.path_segment(ref.name):
        causes.invalid("roleRef.name", ref.name, wrong)
    for index, subject in enumerate(found.subjects):
        _subject(subject, causes, path=f"subjects[{index}]", cluster=cluster)


def _subject(found: rbac.Subject, causes: Causes, *, path: str, cluster: bool) -> None:
    if not found.name:
        causes.required(f"{path}.name")
    if found.kind == "ServiceAccount":
        for wrong in names.dns_subdomain(found.name) if found.name else ():
            causes.invalid(f"{path}.name", found.name, wrong)
        if found.api_group:
            causes.not_supported(f"{path}.apiGroup", found.api_group, ("",))
        if cluster and not found.namespace:
            causes.required(f"{path}.namespace")
    elif found.kind in ("User", "Group"):
        if found.api_group != GROUP:
            causes.not_supported(f"{path}.apiGroup", found.api_group, (GROUP,))
    else:
        causes.not_supported(f"{path}.kind", found.kind, ("ServiceAccount", "User", "Group"))


def binding_update(new: Any, old: Any, causes: Causes) -> None:
    """To whom may change, to what may not."""
    if new.role_ref != old.role_ref:
        causes.changed("roleRef", new.role_ref.name, "cannot change roleRef")
    binding(new, causes)
