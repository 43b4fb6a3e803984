"""The built-in kinds as the catalog takes them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from raftsman import resources
from raftsman.resources import Resource

from . import openapi
from .catalog import GroupVersion, storage_hash

# What of a kind's parts REST serves; the others are left out of discovery and OpenAPI, and refused.
SUBRESOURCES = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "log": ("get",),
    "exec": ("create", "get"),
    "attach": ("create", "get"),
    "portforward": ("create", "get"),
    "binding": ("create",),
    "eviction": ("create",),
    "token": ("create",),
    "finalize": ("update",),
    "ephemeralcontainers": ("get", "patch", "update"),
    "resize": ("get", "patch", "update"),
    "approval": ("get", "patch", "update"),
}
# Kinds of parts that are of another group than what they are a part of.
_ELSEWHERE = {
    "Scale": ("autoscaling", "v1"), "TokenRequest": ("authentication.k8s.io", "v1"), "Eviction": ("policy", "v1"),
}  # fmt: skip
# Kubernetes' own priorities of groups and versions. A group that is missing comes last.
_GROUP_PRIORITIES = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100, "resource.k8s.io": 15900,
    "apiregistration.k8s.io": 18000,
}  # fmt: skip
_VERSION_PRIORITIES = {
    ("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("resource.k8s.io", "v1"): 20, ("apiregistration.k8s.io", "v1"): 18,
}  # fmt: skip
_DEFAULT_PRIORITIES = (15000, 15)


@functools.cache
def group_versions() -> Sequence[GroupVersion]:
    """Every built-in group version that is served."""
    found: dict[tuple[str, str], list[Resource]] = {}
    for one in resources.served():
        found.setdefault((one.group, one.version), []).append(one)
    return [_group_version(group, version, inside) for (group, version), inside in found.items()]


def parts(one: Resource) -> list[tuple[str, tuple[str, str, str], tuple[str, ...]]]:
    """(name, the kind's group, version and name, verbs) of each subresource that is served."""
    found = []
    for part in sorted(one.facts.subresources, key=lambda part: part.name):
        if part.name in SUBRESOURCES:
            group, version = _ELSEWHERE.get(part.kind, (one.group, one.version))
            found.append((part.name, (group, version, part.kind or one.kind), tuple(sorted(part.verbs))))
    return found


def _group_version(group: str, version: str, inside: list[Resource]) -> GroupVersion:
    inside = sorted(inside, key=lambda one: one.name)
    group_priority = _GROUP_PRIORITIES.get(group, _DEFAULT_PRIORITIES[0])
    version_priority = _VERSION_PRIORITIES.get((group, version), _DEFAULT_PRIORITIES[1])
    stored = [one for one in inside if "get" in one.facts.verbs]
    return GroupVersion(
        group, version, group_priority, version_priority, tuple(_described(one) for one in inside),
        functools.partial(openapi.document, group, version, inside, parts),
        {one.name: storage_hash(*_stored_as(one)) for one in stored},
    )  # fmt: skip


def _stored_as(one: Resource) -> tuple[str, str, str]:
    """Kinds of several versions are stored in the one that comes first in the registry."""
    first = next(other for other in resources.served() if (other.group, other.kind) == (one.group, one.kind))
    return first.group, first.version, first.kind


def _described(one: Resource) -> Mapping[str, Any]:
    facts = one.facts
    found: dict[str, Any] = {
        "resource": one.name, "responseKind": _kind(one.group, one.version, one.kind),
        "scope": "Namespaced" if one.namespaced else "Cluster", "singularResource": facts.singular,
        "verbs": sorted(facts.verbs),
    }  # fmt: skip
    if facts.short_names:
        found["shortNames"] = list(facts.short_names)
    if facts.categories:
        found["categories"] = list(facts.categories)
    inside = [
        {"subresource": name, "responseKind": _kind(*kind), "verbs": list(verbs)} for name, kind, verbs in parts(one)
    ]
    return found | ({"subresources": inside} if inside else {})


def _kind(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}
