"""Which groups, versions and resources there are: the documents that clients walk before anything else.

Both forms: one document a group version, and the aggregated one (apidiscovery.k8s.io/v2), each with an ETag. They are
computed once: what is served does not change while the server runs.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from raftsman import resources
from raftsman.resources import Resource

from . import documents, paths

AGGREGATED = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")
# What of a kind's parts REST serves; the others are left out of discovery and refused.
SUBRESOURCES = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "log": ("get",),
    "exec": ("create", "get"),
    "binding": ("create",),
    "token": ("create",),
    "finalize": ("update",),
}
_SCALE = ("autoscaling", "v1")
_TOKEN = ("authentication.k8s.io", "v1")


def document(path: str, *, aggregated: str = "") -> tuple[bytes, str] | None:
    """The discovery document at a path and its ETag; None if there is none. `aggregated` is the version asked for."""
    parts = tuple(path.strip("/").split("/"))
    if aggregated and parts in (("api",), ("apis",)):
        return _aggregated(parts[0], aggregated)
    return _legacy(parts)


def _tagged(tree: Any) -> tuple[bytes, str]:
    data = documents.dumped(tree)
    return data, f'"{hashlib.sha256(data).hexdigest().upper()}"'


@functools.lru_cache(maxsize=64)
def _legacy(parts: tuple[str, ...]) -> tuple[bytes, str] | None:
    groups = paths.group_versions()
    if parts == ("api",):
        return _tagged({"kind": "APIVersions", "versions": list(groups[""]), "serverAddressByClientCIDRs": []})
    if parts == ("apis",):
        named = [_group(group) for group in groups if group]
        return _tagged({"kind": "APIGroupList", "apiVersion": "v1", "groups": named})
    if len(parts) == 2 and parts[0] == "api" and parts[1] in groups[""]:
        return _tagged(_resource_list("", parts[1]))
    if parts[0] != "apis" or len(parts) not in (2, 3) or not parts[1] or parts[1] not in groups:
        return None
    if len(parts) == 2:
        return _tagged({"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])})
    return _tagged(_resource_list(parts[1], parts[2])) if parts[2] in groups[parts[1]] else None


def _group(group: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in paths.group_versions()[group]]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _in(group: str, version: str) -> list[Resource]:
    return [one for one in resources.served() if (one.group, one.version) == (group, version)]


def _resource_list(group: str, version: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for one in _in(group, version):
        entries.append(_entry(one))
        for name, kind, kind_group, verbs in _parts(one):
            entry: dict[str, Any] = {"name": f"{one.name}/{name}", "singularName": "", "namespaced": one.namespaced}
            if kind_group:
                entry |= {"group": kind_group[0], "version": kind_group[1]}
            entries.append({**entry, "kind": kind, "verbs": verbs})
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _entry(one: Resource) -> dict[str, Any]:
    facts = one.facts
    entry: dict[str, Any] = {
        "name": one.name, "singularName": facts.singular, "namespaced": one.namespaced, "kind": one.kind,
        "verbs": sorted(facts.verbs),
    }  # fmt: skip
    if facts.short_names:
        entry["shortNames"] = list(facts.short_names)
    if facts.categories:
        entry["categories"] = list(facts.categories)
    return entry


def _parts(one: Resource) -> list[tuple[str, str, tuple[str, str] | None, list[str]]]:
    """(name, kind, the kind's group and version if it is another's, verbs) of each subresource that is served."""
    found = []
    for part in one.facts.subresources:
        if part.name not in SUBRESOURCES:
            continue
        other = {"scale": _SCALE, "token": _TOKEN}.get(part.name)
        found.append((part.name, part.kind or one.kind, other, list(SUBRESOURCES[part.name])))
    return found


@functools.lru_cache(maxsize=8)
def _aggregated(root: str, version: str) -> tuple[bytes, str]:
    items = []
    for group, versions in paths.group_versions().items():
        if (group == "") is not (root == "api"):
            continue
        described = [
            {"version": one, "resources": [_described(found) for found in _in(group, one)], "freshness": "Current"}
            for one in versions
        ]
        metadata: dict[str, Any] = {"creationTimestamp": None}
        if group:
            metadata["name"] = group
        items.append({"metadata": metadata, "versions": described})
    tree = {
        "kind": "APIGroupDiscoveryList", "apiVersion": f"{AGGREGATED}/{version}", "metadata": {}, "items": items,
    }  # fmt: skip
    return _tagged(tree)


def _described(one: Resource) -> dict[str, Any]:
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
    parts = [
        {"subresource": name, "responseKind": _kind(*(other or (one.group, one.version)), kind), "verbs": verbs}
        for name, kind, other, verbs in _parts(one)
    ]
    return found | ({"subresources": parts} if parts else {})


def _kind(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}
