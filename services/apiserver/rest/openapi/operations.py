"""The paths of a kind and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor
from raftsman import resources
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.resources import Resource

from . import parameters, schemas

Part = tuple[str, tuple[str, str, str], tuple[str, ...]]
Parts = Callable[[Resource], Iterable[Part]]

_MEDIA = ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
_STREAMED = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
PATCH_MEDIA = (
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)  # fmt: skip
# Parts that are streams or other servers' answers: what they take stands in the query.
CONNECTED = frozenset({"exec", "attach", "portforward", "proxy"})
_METHODS = {
    "get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete", "list": "get",
    "deletecollection": "delete",
}  # fmt: skip
_WORDS = {
    "get": "read", "create": "create", "update": "replace", "patch": "patch", "delete": "delete", "list": "list",
    "deletecollection": "delete",
}  # fmt: skip
_SAID = {
    "get": "Read one {kind}.", "create": "Create a {kind}.", "update": "Write one {kind} anew.",
    "patch": "Change parts of one {kind}.", "delete": "Delete one {kind}.", "list": "List or watch objects {kind}.",
    "deletecollection": "Delete every {kind} that is selected.",
}  # fmt: skip
_ACTIONS = {"create": "post", "update": "put"}


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the paths of one group version's kinds, and adds the schemas that they name."""

    group: str
    version: str
    found: dict[str, dict[str, Any]]
    schemas: dict[str, schemas.Schema]

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def title(self) -> str:
        """The group and version within operationIds: AppsV1, RbacAuthorizationV1."""
        words = (self.group or "core").removesuffix(".k8s.io").split(".")
        return "".join(word[:1].upper() + word[1:] for word in words) + self.version.title()

    @property
    def tag(self) -> str:
        words = (self.group or "core").removesuffix(".k8s.io").split(".")
        return words[0] + "".join(word.title() for word in words[1:]) + f"_{self.version}"

    def kind(self, resource: Resource, parts: Iterable[Part]) -> None:
        """All paths of one kind."""
        collection = f"{self.root}/namespaces/{{namespace}}/{resource.name}"
        if not resource.namespaced:
            collection = f"{self.root}/{resource.name}"
        verbs = set(resource.facts.verbs)
        self._add(collection, resource, [verb for verb in ("list", "create", "deletecollection") if verb in verbs])
        if resource.namespaced and "list" in verbs:
            self._add(f"{self.root}/{resource.name}", resource, ["list"])
        self._add(f"{collection}/{{name}}", resource, [one for one in ("get", "update", "patch", "delete")
                                                       if one in verbs])  # fmt: skip
        if "watch" in verbs:
            self._watches(resource)
        for name, kind, allowed in parts:
            self._part(f"{collection}/{{name}}/{name}", resource, name, kind, allowed)

    def _add(self, path: str, resource: Resource, verbs: Sequence[str]) -> None:
        if not verbs:
            return
        item: dict[str, Any] = {"parameters": _path_parameters(path)}
        kind = schemas.gvk(self.group, self.version, resource.kind)
        for verb in verbs:
            message = resource.list_message if verb == "list" else resource.message
            descriptor = (message or resource.message).DESCRIPTOR
            sent = resource.message.DESCRIPTOR
            name = self._name(_WORDS[verb], resource, path, collection=verb == "deletecollection")
            if verb == "deletecollection":
                descriptor = meta.Status.DESCRIPTOR
            item[_METHODS[verb]] = self._operation(verb, name, kind, answer=descriptor, sent=sent)
        self.found[path] = item

    def _name(self, word: str, resource: Resource, path: str, *, collection: bool = False, part: str = "") -> str:
        inside = "Namespaced" if "{namespace}" in path else ""
        everywhere = "ForAllNamespaces" if resource.namespaced and not inside else ""
        return f"{word}{self.title}{'Collection' if collection else ''}{inside}{resource.kind}{part}{everywhere}"

    def _operation(
        self, verb: str, name: str, kind: dict[str, str], *, answer: Descriptor, sent: Descriptor
    ) -> dict[str, Any]:
        taken: dict[str, tuple[str, ...]] = {
            "list": parameters.LISTING, "create": parameters.WRITING, "update": parameters.WRITING,
            "patch": parameters.PATCHING, "delete": parameters.DELETING, "deletecollection": parameters.DELETING_MANY,
        }  # fmt: skip
        made: dict[str, Any] = {
            "tags": [self.tag], "description": _SAID[verb].format(kind=kind["kind"]), "operationId": name,
            "parameters": parameters.in_query(taken.get(verb, ())),
        }  # fmt: skip
        if body := self._body(verb, sent):
            made["requestBody"] = body
        made["responses"] = self._responses(verb, answer)
        made["x-kubernetes-action"] = _ACTIONS.get(verb, verb)
        made["x-kubernetes-group-version-kind"] = kind
        return {name: value for name, value in made.items() if value != []}

    def _body(self, verb: str, sent: Descriptor) -> dict[str, Any] | None:
        if verb in ("create", "update"):
            return {"content": {one: {"schema": self._schema(sent)} for one in _MEDIA}, "required": True}
        if verb == "patch":
            patch = self._schema(meta.Patch.DESCRIPTOR)
            return {"content": {one: {"schema": patch} for one in PATCH_MEDIA}, "required": True}
        if verb in ("delete", "deletecollection"):
            return {"content": {one: {"schema": self._schema(meta.DeleteOptions.DESCRIPTOR)} for one in _MEDIA}}
        return None

    def _responses(self, verb: str, answer: Descriptor) -> dict[str, Any]:
        media = (*_MEDIA, *_STREAMED) if verb == "list" else _MEDIA
        content = {one: {"schema": self._schema(answer)} for one in media}
        codes = {"create": ("200", "201", "202"), "update": ("200", "201"), "patch": ("200", "201"),
                 "delete": ("200", "202")}.get(verb, ("200",))  # fmt: skip
        said = {"200": "OK", "201": "Created", "202": "Accepted"}
        answers: dict[str, Any] = {code: {"description": said[code], "content": content} for code in codes}
        return answers | {"401": {"description": "Unauthorized"}}

    def _schema(self, descriptor: Descriptor) -> dict[str, Any]:
        schemas.add(descriptor, self.schemas)
        return {"$ref": schemas.reference(descriptor)}

    def _watches(self, resource: Resource) -> None:
        """The old paths, where a watch is known by its path; clients of today say watch=true."""
        kind = schemas.gvk(self.group, self.version, resource.kind)
        rests = [resource.name, f"{resource.name}/{{name}}"]
        if resource.namespaced:
            inside = f"namespaces/{{namespace}}/{resource.name}"
            rests = [resource.name, inside, f"{inside}/{{name}}"]
        for rest in rests:
            path = f"{self.root}/watch/{rest}"
            many = "{name}" not in rest
            name = self._name("watch", resource, path, part="List" if many else "")
            content = {one: {"schema": self._schema(meta.WatchEvent.DESCRIPTOR)} for one in (*_MEDIA, *_STREAMED)}
            operation = {
                "tags": [self.tag], "description": f"Watch {'objects' if many else 'one'} {resource.kind}. "
                "Deprecated: use the watch parameter with a list.", "operationId": name,
                "responses": {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}},
                "x-kubernetes-action": "watchlist" if many else "watch", "x-kubernetes-group-version-kind": kind,
            }  # fmt: skip
            taken = parameters.in_query((*parameters.LISTING, "pretty"))
            self.found[path] = {"get": operation, "parameters": [*parameters.in_path(_places(path)), *taken]}

    def _part(
        self, path: str, resource: Resource, name: str, kind: tuple[str, str, str], verbs: tuple[str, ...]
    ) -> None:
        title = name[:1].upper() + name[1:]
        if name in CONNECTED:
            return self._connected(path, resource, title, kind, verbs)
        if name == "log":
            return self._log(path, resource)
        item: dict[str, Any] = {"parameters": _path_parameters(path)}
        found = resources.by_kind("/".join(filter(None, kind[:2])), kind[2])
        message = found.message if found is not None else _other_kind(kind)
        for verb in verbs:
            made = self._operation(
                verb, self._name(_WORDS[verb], resource, path, part=title), schemas.gvk(*kind),
                answer=message.DESCRIPTOR, sent=message.DESCRIPTOR,
            )  # fmt: skip
            item[_METHODS[verb]] = made
        self.found[path] = item
        return None

    def _log(self, path: str, resource: Resource) -> None:
        made = self._operation(
            "get", self._name("read", resource, path, part="Log"),
            schemas.gvk(self.group, self.version, resource.kind), answer=resource.message.DESCRIPTOR,
            sent=resource.message.DESCRIPTOR,
        )  # fmt: skip
        content = {one: {"schema": {"type": "string"}} for one in ("text/plain", *_MEDIA)}
        made |= {
            "description": "Read what a container wrote.",
            "responses": {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}},
        }
        taken = [*_path_parameters(path), *parameters.of_options(core.PodLogOptions)]
        self.found[path] = {"get": made, "parameters": taken}

    def _connected(
        self, path: str, resource: Resource, title: str, kind: tuple[str, str, str], verbs: tuple[str, ...]
    ) -> None:
        options = getattr(core, kind[2])
        taken = [*parameters.in_path(_places(path)), *parameters.of_options(options)]
        for place in (path, f"{path}/{{path}}") if title == "Proxy" else (path,):
            item: dict[str, Any] = {"parameters": taken}
            if place != path:
                item["parameters"] = [*parameters.in_path(("path",)), *taken]
            for verb in verbs:
                method = _METHODS[verb]
                part = title + ("WithPath" if place != path else "")
                inside = "Namespaced" if resource.namespaced else ""
                item[method] = {
                    "tags": [self.tag], "description": f"Connect {method.upper()} requests to {title.lower()} of a "
                    f"{resource.kind}.",
                    "operationId": f"connect{self.title}{method.title()}{inside}{resource.kind}{part}",
                    "responses": {"200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}},
                                  "401": {"description": "Unauthorized"}},
                    "x-kubernetes-action": "connect", "x-kubernetes-group-version-kind": schemas.gvk(*kind),
                }  # fmt: skip
            self.found[place] = item


def _other_kind(kind: tuple[str, str, str]) -> Any:
    """The message of a kind that is no resource of its own: a Scale, an Eviction, a TokenRequest."""
    import importlib

    package = (kind[0] or "core").partition(".")[0]
    return getattr(importlib.import_module(f"raftsman.{package}.{kind[1]}"), kind[2])


def _places(path: str) -> list[str]:
    return [name for name in ("name", "namespace") if f"{{{name}}}" in path]


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [*parameters.in_path(_places(path)), *parameters.in_query(("pretty",))]
