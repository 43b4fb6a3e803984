"""Custom resources as the catalog takes them: discovery, and OpenAPI 3.0 from the schemas that definitions carry."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from raftsman.meta import v1 as meta
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.registry import Registry

from . import openapi
from .catalog import GroupVersion, storage_hash
from .openapi import parameters, schemas

GROUP_PRIORITY, VERSION_PRIORITY = 1000, 100
_MEDIA = ("application/json", "application/yaml")
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_TEXT = {"type": "string"}
_API_VERSION = "The group and version that the object is written in."
_KIND = "What the object is."
_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete", "list": "get",
            "deletecollection": "delete"}  # fmt: skip
_WORDS = {"get": "read", "update": "replace"}
_ACTIONS = {"create": "post", "update": "put"}


def group_versions(registry: Registry) -> Sequence[GroupVersion]:
    """Every group version that custom resources are served in."""
    found: dict[tuple[str, str], list[Kind]] = {}
    for kind in registry.custom():
        found.setdefault((kind.resource.group, kind.resource.version), []).append(kind)
    return [_group_version(group, version, kinds) for (group, version), kinds in found.items()]


def _group_version(group: str, version: str, kinds: list[Kind]) -> GroupVersion:
    kinds = sorted(kinds, key=lambda kind: kind.resource.name)
    hashes = {}
    for kind in kinds:
        stored = kind.stored_as.resource
        hashes[kind.resource.name] = storage_hash(stored.group, stored.version, stored.kind)
    return GroupVersion(
        group, version, GROUP_PRIORITY, VERSION_PRIORITY, tuple(_described(kind) for kind in kinds),
        functools.partial(_document, group, version, kinds), hashes,
    )  # fmt: skip


def _described(kind: Kind) -> Mapping[str, Any]:
    resource, facts = kind.resource, kind.resource.facts
    own = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    found: dict[str, Any] = {
        "resource": resource.name, "responseKind": own, "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": facts.singular, "verbs": sorted(facts.verbs),
    }  # fmt: skip
    if facts.short_names:
        found["shortNames"] = list(facts.short_names)
    if facts.categories:
        found["categories"] = list(facts.categories)
    scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    parts = [
        {"subresource": one.name, "responseKind": scale if one.name == "scale" else own, "verbs": sorted(one.verbs)}
        for one in sorted(facts.subresources, key=lambda one: one.name)
    ]
    return found | ({"subresources": parts} if parts else {})


# -- OpenAPI


def _document(group: str, version: str, kinds: list[Kind]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    components: dict[str, Any] = {}
    for message in (meta.ObjectMeta, meta.ListMeta, meta.DeleteOptions, meta.Status, meta.Patch):
        schemas.add(message.DESCRIPTOR, components)
    for kind in kinds:
        _add_kind(kind, found, components)
    openapi.mark_everywhere(components, group, version)
    return openapi.whole(found, components)


def _name(kind: Kind) -> str:
    """`com.example.stable.v1.CronTab`."""
    return ".".join((*reversed(kind.resource.group.split(".")), kind.resource.version, kind.resource.kind))


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _of(message: Any) -> dict[str, Any]:
    return {"$ref": schemas.reference(message.DESCRIPTOR)}


def _add_kind(kind: Kind, found: dict[str, Any], components: dict[str, Any]) -> None:
    resource = kind.resource
    name = _name(kind)
    marked = {"x-kubernetes-group-version-kind": [schemas.gvk(resource.group, resource.version, resource.kind)]}
    named = {"apiVersion": {**_TEXT, "description": _API_VERSION}, "kind": {**_TEXT, "description": _KIND}}
    tree = dict(kind.schema or {})
    properties = {**tree.get("properties", {}), **named, "metadata": {"allOf": [_of(meta.ObjectMeta)], "default": {}}}
    components[name] = {**tree, "type": "object", "properties": properties, **marked}
    list_name = f"{name.rpartition('.')[0]}.{kind.list_kind}"
    components[list_name] = {
        "type": "object", "description": f"A list of {resource.kind}.", "required": ["items"],
        "properties": {**named, "items": {"type": "array", "items": _reference(name)}, "metadata": _of(meta.ListMeta)},
        "x-kubernetes-group-version-kind": [schemas.gvk(resource.group, resource.version, kind.list_kind)],
    }  # fmt: skip
    _add_paths(kind, found, _reference(name), _reference(list_name))


def _add_paths(kind: Kind, found: dict[str, Any], one: dict[str, Any], many: dict[str, Any]) -> None:
    resource = kind.resource
    root = f"/apis/{resource.group}/{resource.version}"
    inside = f"{root}/namespaces/{{namespace}}/{resource.name}" if resource.namespaced else f"{root}/{resource.name}"
    if resource.namespaced:
        found[f"{root}/{resource.name}"] = {"get": _operation(kind, "list", many, one, everywhere=True)}
    found[inside] = _item(inside, kind, ("list", "create", "deletecollection"), one, many)
    found[f"{inside}/{{name}}"] = _item(f"{inside}/{{name}}", kind, ("get", "update", "patch", "delete"), one, many)
    for part in resource.facts.subresources:
        path = f"{inside}/{{name}}/{part.name}"
        found[path] = _item(path, kind, ("get", "update", "patch"), one, many, part=part.name)


def _item(
    path: str, kind: Kind, verbs: Sequence[str], one: dict[str, Any], many: dict[str, Any], *, part: str = ""
) -> dict[str, Any]:
    item: dict[str, Any] = {
        _METHODS[verb]: _operation(kind, verb, many if verb == "list" else one, one, part=part) for verb in verbs
    }
    names = [name for name in ("namespace", "name") if f"{{{name}}}" in path]
    if names:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for name in names
        ]
    return item


def _operation(
    kind: Kind, verb: str, answer: dict[str, Any], sent: dict[str, Any], *, part: str = "", everywhere: bool = False
) -> dict[str, Any]:
    resource = kind.resource
    title = "".join(word.title() for word in (*resource.group.split("."), resource.version))
    where = ("ForAllNamespaces" if everywhere else "", "Namespaced" if resource.namespaced and not everywhere else "")
    collection = "Collection" if verb == "deletecollection" else ""
    word = _WORDS.get(verb, "delete" if collection else verb)
    taken: dict[str, tuple[str, ...]] = {
        "list": parameters.LISTING, "create": parameters.WRITING, "update": parameters.WRITING,
        "patch": parameters.PATCHING, "delete": parameters.DELETING, "deletecollection": parameters.DELETING_MANY,
    }  # fmt: skip
    if verb in ("delete", "deletecollection"):
        answer = _of(meta.Status)
    made: dict[str, Any] = {
        "operationId": f"{word}{title}{collection}{where[1]}{resource.kind}{part.title()}{where[0]}",
        "parameters": parameters.in_query(taken.get(verb, ())),
        "responses": {"200": {"description": "OK", "content": {one: {"schema": answer} for one in _MEDIA}},
                      "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": schemas.gvk(resource.group, resource.version, resource.kind),
    }  # fmt: skip
    if verb in ("create", "update"):
        made["requestBody"] = {"content": {one: {"schema": sent} for one in _MEDIA}, "required": True}
    elif verb == "patch":
        made["requestBody"] = {"content": {one: {"schema": _of(meta.Patch)} for one in _PATCHES}, "required": True}
    elif verb in ("delete", "deletecollection"):
        made["requestBody"] = {"content": {one: {"schema": _of(meta.DeleteOptions)} for one in _MEDIA}}
    return made
