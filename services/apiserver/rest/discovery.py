"""Which groups, versions and resources there are: the documents that clients walk before anything else.

Both forms: one document a group version, and the aggregated one (apidiscovery.k8s.io), as JSON, YAML or protobuf, each
with a tag.
"""

from __future__ import annotations

from typing import Any

from raftsman import codec
from raftsman.apidiscovery import v2 as apidiscovery
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.storage import wire

from . import documents, media
from .catalog import Catalog, GroupVersion
from .media import View, Wanted
from .published import Published

AGGREGATED = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")
_MESSAGES = {
    "APIVersions": meta.APIVersions, "APIGroupList": meta.APIGroupList, "APIGroup": meta.APIGroup,
    "APIResourceList": meta.APIResourceList, "APIGroupDiscoveryList": apidiscovery.APIGroupDiscoveryList,
}  # fmt: skip


def wanted(accept: str) -> Wanted:
    """The form of a discovery document that is asked for. errors.ApiError (406) if there is none."""
    versions = {View.DISCOVERY: AGGREGATED_VERSIONS}
    return media.negotiate(accept, views=frozenset({View.WHOLE, View.DISCOVERY}), versions=versions)


def document(catalog: Catalog, path: str, form: Wanted) -> Published | None:
    """The discovery document at a path; None if there is none. The old form answers where no aggregated one is."""
    path = path.strip("/")
    if form.view is View.DISCOVERY and path not in ("api", "apis"):
        form = Wanted(form.media)
    found: Published | None = catalog.known(("discovery", path, form))
    if found is None:
        tree = _aggregated(catalog, path, form.version) if form.view is View.DISCOVERY else _legacy(catalog, path)
        if tree is None:
            return None
        found = _written(tree, form)
        catalog.keep(("discovery", path, form), found, about=catalog.versions())
    return found


def _written(tree: dict[str, Any], form: Wanted) -> Published:
    shape = form.media
    if form.view is View.DISCOVERY:
        shape += f";g={AGGREGATED};v={form.version};as={form.view.value}"
    if form.media != media.PROTOBUF:
        return Published(documents.dumped(tree, form.media), shape)
    inner = {name: value for name, value in tree.items() if name not in ("kind", "apiVersion")}
    message: Any = codec.from_json(inner, _MESSAGES[tree["kind"]]).message
    raw = wire.enveloped(tree.get("apiVersion", "v1"), tree["kind"], message.SerializeToString())
    return Published(raw, shape)


def _legacy(catalog: Catalog, path: str) -> dict[str, Any] | None:
    groups = catalog.groups()
    if path == "api":
        versions = [one.version for one in groups.get("", ())]
        return {"kind": "APIVersions", "versions": versions, "serverAddressByClientCIDRs": []}
    if path == "apis":
        named = [_group(group, versions) for group, versions in groups.items() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}
    for one in catalog.versions():
        if one.path == path:
            return _resource_list(one)
        if one.group and path == f"apis/{one.group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(one.group, groups[one.group])}
    return None


def _group(group: str, versions: list[GroupVersion]) -> dict[str, Any]:
    named = [{"groupVersion": one.name, "version": one.version} for one in versions]
    return {"name": group, "versions": named, "preferredVersion": named[0]}


def _resource_list(one: GroupVersion) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for resource in one.resources:
        entries.append(_entry(one, resource))
        for part in resource.get("subresources", ()):
            entry = {"name": f"{resource['resource']}/{part['subresource']}", "singularName": ""}
            entries.append(_kinded(one, entry | {"namespaced": resource["scope"] == "Namespaced"}, part))
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": one.name, "resources": entries}


def _entry(one: GroupVersion, resource: Any) -> dict[str, Any]:
    named = {"name": resource["resource"], "singularName": resource["singularResource"]}
    entry = _kinded(one, named | {"namespaced": resource["scope"] == "Namespaced"}, resource)
    for name in ("shortNames", "categories"):
        if resource.get(name):
            entry[name] = resource[name]
    if resource["resource"] in one.hashes:
        entry["storageVersionHash"] = one.hashes[resource["resource"]]
    return entry


def _kinded(one: GroupVersion, entry: dict[str, Any], described: Any) -> dict[str, Any]:
    kind = described.get("responseKind") or {"group": "", "version": "", "kind": ""}
    if (kind["group"], kind["version"]) not in ((one.group, one.version), ("", "")):
        entry |= {"group": kind["group"], "version": kind["version"]}
    return entry | {"kind": kind["kind"], "verbs": described["verbs"]}


def _aggregated(catalog: Catalog, root: str, version: str) -> dict[str, Any]:
    items = []
    for group, versions in catalog.groups().items():
        if (group == "") is not (root == "api"):
            continue
        described = [
            {"version": one.version, "resources": list(one.resources), "freshness": "Stale" if one.stale else "Current"}
            for one in versions
        ]
        metadata: dict[str, Any] = {"creationTimestamp": None}
        items.append({"metadata": metadata | ({"name": group} if group else {}), "versions": described})
    kind = View.DISCOVERY.value
    return {"kind": kind, "apiVersion": f"{AGGREGATED}/{version}", "metadata": {}, "items": items}
