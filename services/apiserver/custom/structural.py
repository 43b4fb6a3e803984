"""Whether a schema is structural (KEP-2014), in Kubernetes' words.

Structure (type, properties, items, additionalProperties, the x-kubernetes- words) stands in the schema itself and never
inside allOf, anyOf, oneOf and not, which only add what is demanded of values. A default must be a value that the
schema admits, without anything that it would prune. DEPTH_MAX and NODES_MAX bound what is compiled.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from raftsman.services.apiserver import patterns
from raftsman.services.apiserver.validation.causes import Causes

from . import defaulting, pruning, values
from .schema import ABSENT, ATOMIC, MAP, SET, compiled

DEPTH_MAX = 60
NODES_MAX = 100_000
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNKNOWN = {
    "$ref": "is not supported", "id": "is not supported", "definitions": "is not supported",
    "dependencies": "is not supported", "patternProperties": "is not supported",
    "additionalItems": "is not supported", "deprecated": "is not supported", "discriminator": "is not supported",
    "readOnly": "is not supported", "writeOnly": "is not supported", "xml": "is not supported",
}  # fmt: skip
# What says something of the structure: not inside a junctor.
_STRUCTURE = (
    "default", "additionalProperties", "nullable", "title", "description", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-validations",
)  # fmt: skip
_SCALARS = ("boolean", "integer", "number", "string")


def check(tree: Mapping[str, Any], causes: Causes, *, path: str) -> None:
    """Every way in which a schema's JSON is no structural schema."""
    if tree.get("type") != "object":
        given = tree.get("type", "")
        if given:
            causes.invalid(f"{path}.type", given, "must be object at the root")
        else:
            causes.required(f"{path}.type", "must not be empty at the root")
    if tree.get("nullable"):
        causes.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    checker = _Checker(causes)
    checker.node(tree, path, root=True, depth=0)
    if not causes:
        _defaults(tree, causes, path)


class _Checker:
    def __init__(self, causes: Causes) -> None:
        self._causes, self._nodes = causes, 0

    def node(self, tree: Mapping[str, Any], path: str, *, root: bool = False, depth: int, of: str = "") -> None:
        causes = self._causes
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            if self._nodes <= NODES_MAX + 1:
                causes.invalid(path, "schema", f"at most {DEPTH_MAX} levels and {NODES_MAX} nodes")
            return
        self._unsupported(tree, path)
        self._type(tree, path, root=root, of=of)
        self._validations(tree, path)
        self._lists(tree, path)
        self._maps(tree, path)
        self._embedded(tree, path, root=root)
        self._junctors(tree, tree, path, int_or_string=tree.get("x-kubernetes-int-or-string", False))
        self._below(tree, path, depth)

    def _below(self, tree: Mapping[str, Any], path: str, depth: int) -> None:
        causes = self._causes
        properties, additional, items = tree.get("properties", {}), tree.get("additionalProperties"), tree.get("items")
        if properties and additional is not None:
            causes.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        if additional is False:
            causes.forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
        for name, inner in properties.items():
            self.node(inner, f"{path}.properties[{name}]", depth=depth + 1, of="specified object fields")
        if isinstance(additional, Mapping):
            self.node(additional, f"{path}.additionalProperties", depth=depth + 1, of="specified object fields")
        if isinstance(items, list):
            causes.forbidden(f"{path}.items", "items must be a schema object and not an array")
        elif isinstance(items, Mapping):
            self.node(items, f"{path}.items", depth=depth + 1, of="specified array items")
        elif tree.get("type") == "array":
            causes.required(f"{path}.items", "must be specified")

    def _unsupported(self, tree: Mapping[str, Any], path: str) -> None:
        for name, why in _UNKNOWN.items():
            if tree.get(name):
                self._causes.forbidden(f"{path}.{name}", f"{name} {why}")
        if tree.get("uniqueItems"):
            why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            self._causes.forbidden(f"{path}.uniqueItems", why)

    def _type(self, tree: Mapping[str, Any], path: str, *, root: bool, of: str) -> None:
        given, causes = tree.get("type", ""), self._causes
        if tree.get("x-kubernetes-int-or-string"):
            if given:
                causes.forbidden(f"{path}.type", "must be empty if x-kubernetes-int-or-string is true")
        elif not given:
            if not root and not tree.get("x-kubernetes-preserve-unknown-fields"):
                causes.required(f"{path}.type", f"must not be empty for {of}")
        elif given == "null":
            causes.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
        elif given not in _TYPES:
            causes.not_supported(f"{path}.type", given, _TYPES)
        if tree.get("x-kubernetes-preserve-unknown-fields") is False:
            causes.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
        if tree.get("items") and given not in ("array", ""):
            causes.forbidden(f"{path}.items", "items can only be set if type is array")

    def _validations(self, tree: Mapping[str, Any], path: str) -> None:
        if (pattern := tree.get("pattern")) and (wrong := patterns.problem(pattern)):
            why = f"must be a valid regular expression, but isn't: {wrong}"
            self._causes.invalid(f"{path}.pattern", pattern, why)
        if tree.get("multipleOf", 1) <= 0:
            self._causes.invalid(f"{path}.multipleOf", tree["multipleOf"], "must be greater than 0")

    def _lists(self, tree: Mapping[str, Any], path: str) -> None:
        causes, kind, keys = self._causes, tree.get("x-kubernetes-list-type"), tree.get("x-kubernetes-list-map-keys")
        if kind is not None and tree.get("type") != "array":
            causes.invalid(f"{path}.type", tree.get("type", ""), "must be array if x-kubernetes-list-type is specified")
        if kind not in (None, ATOMIC, SET, MAP):
            causes.not_supported(f"{path}.x-kubernetes-list-type", kind, (ATOMIC, SET, MAP))
        if keys and kind != MAP:
            causes.invalid(
                f"{path}.x-kubernetes-list-type", kind or "", "must be map if x-kubernetes-list-map-keys is non-empty"
            )
        items = tree.get("items")
        if kind == MAP:
            if not keys:
                causes.required(
                    f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"
                )
            elif isinstance(items, Mapping):
                self._keys(items, keys, path)
        elif kind == SET and isinstance(items, Mapping):
            self._set_items(items, path)

    def _keys(self, items: Mapping[str, Any], keys: list[str], path: str) -> None:
        causes = self._causes
        if items.get("type") != "object":
            causes.invalid(
                f"{path}.items.type",
                items.get("type", ""),
                "must be object if parent array's x-kubernetes-list-type is map",
            )
        if len(set(keys)) != len(keys):
            causes.invalid(f"{path}.x-kubernetes-list-map-keys", keys, "must not contain duplicates")
        if items.get("nullable"):
            causes.forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is map")
        for index, key in enumerate(keys):
            found = items.get("properties", {}).get(key)
            if found is None:
                causes.invalid(
                    f"{path}.x-kubernetes-list-map-keys[{index}]", key, "entries must all be names of item properties"
                )
            elif found.get("type") not in _SCALARS and not found.get("x-kubernetes-int-or-string"):
                causes.invalid(
                    f"{path}.items.properties[{key}].type",
                    found.get("type", ""),
                    "must be a scalar type if parent array's x-kubernetes-list-type is map",
                )
            elif key not in items.get("required", ()) and "default" not in found:
                causes.required(
                    f"{path}.items.properties[{key}].default",
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required "
                    "property",
                )

    def _set_items(self, items: Mapping[str, Any], path: str) -> None:
        causes = self._causes
        if items.get("nullable"):
            causes.forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is set")
        if items.get("type") == "array" and items.get("x-kubernetes-list-type", ATOMIC) != ATOMIC:
            causes.invalid(
                f"{path}.items.x-kubernetes-list-type",
                items["x-kubernetes-list-type"],
                "must be atomic as item of a list with x-kubernetes-list-type=set",
            )
        if items.get("type") == "object" and items.get("x-kubernetes-map-type") != ATOMIC:
            causes.invalid(
                f"{path}.items.x-kubernetes-map-type",
                items.get("x-kubernetes-map-type", "granular"),
                "must be atomic as item of a list with x-kubernetes-list-type=set",
            )

    def _maps(self, tree: Mapping[str, Any], path: str) -> None:
        kind = tree.get("x-kubernetes-map-type")
        if kind is None:
            return
        if tree.get("type") != "object":
            self._causes.invalid(
                f"{path}.type", tree.get("type", ""), "must be object if x-kubernetes-map-type is specified"
            )
        if kind not in (ATOMIC, "granular"):
            self._causes.not_supported(f"{path}.x-kubernetes-map-type", kind, (ATOMIC, "granular"))

    def _embedded(self, tree: Mapping[str, Any], path: str, *, root: bool) -> None:
        causes, properties = self._causes, tree.get("properties", {})
        embedded = tree.get("x-kubernetes-embedded-resource")
        if embedded:
            if tree.get("type") != "object":
                causes.invalid(
                    f"{path}.type", tree.get("type", ""), "must be object if x-kubernetes-embedded-resource is true"
                )
            if not properties and not tree.get("x-kubernetes-preserve-unknown-fields"):
                causes.required(
                    f"{path}.properties",
                    "must not be empty if x-kubernetes-embedded-resource is true without "
                    "x-kubernetes-preserve-unknown-fields",
                )
        if not root and not embedded:
            return
        found = properties.get("metadata", {})
        if found.get("type", "object") != "object":
            causes.invalid(f"{path}.properties[metadata].type", found["type"], "must be object")
        beside = set(found) - {"type", "description", "properties", "title"}
        if beside or not set(found.get("properties", {})) <= {"name", "generateName"}:
            why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            causes.forbidden(f"{path}.properties[metadata]", why)
        for name in ("apiVersion", "kind"):
            given = properties.get(name, {}).get("type", "string")
            if given != "string":
                causes.invalid(f"{path}.properties[{name}].type", given, "must be string")

    # -- junctors

    def _junctors(
        self,
        tree: Mapping[str, Any],
        outside: Mapping[str, Any] | None,
        path: str,
        *,
        int_or_string: bool,
        depth: int = 0,
    ) -> None:
        if depth > DEPTH_MAX:
            self._causes.invalid(path, "schema", f"at most {DEPTH_MAX} levels")
            return
        for word in ("allOf", "anyOf", "oneOf"):
            types = int_or_string and word in ("anyOf", "allOf")
            for index, inner in enumerate(tree.get(word, ())):
                self._inside(inner, outside, f"{path}.{word}[{index}]", types=types, depth=depth + 1)
        if isinstance(tree.get("not"), Mapping):
            self._inside(tree["not"], outside, f"{path}.not", types=False, depth=depth + 1)

    def _inside(
        self, tree: Mapping[str, Any], outside: Mapping[str, Any] | None, path: str, *, types: bool, depth: int
    ) -> None:
        causes = self._causes
        for word in _STRUCTURE:
            if tree.get(word):
                causes.forbidden(f"{path}.{word}", "must be empty to be structural")
        if tree.get("type") and not types:
            causes.forbidden(f"{path}.type", "must be empty to be structural")
        self._validations(tree, path)
        for name, inner in tree.get("properties", {}).items():
            at = f"{path}.properties[{name}]"
            known = outside.get("properties", {}).get(name) if outside is not None else None
            if outside is not None and known is None:
                causes.required(at.replace(path, "", 1).lstrip("."), f"because it is defined in {at}")
            self._inside(inner, known, at, types=False, depth=depth + 1)
        if isinstance(tree.get("items"), Mapping):
            known = outside.get("items") if outside is not None else None
            if outside is not None and not isinstance(known, Mapping):
                causes.required("items", f"because it is defined in {path}.items")
                known = None
            self._inside(tree["items"], known, f"{path}.items", types=False, depth=depth + 1)
        self._junctors(tree, outside, path, int_or_string=types, depth=depth)


def _defaults(tree: Mapping[str, Any], causes: Causes, path: str) -> None:
    """Each default is what the schema admits, and holds nothing that the schema would prune."""
    if "default" in tree:
        schema, value = compiled(tree), copy.deepcopy(tree["default"])
        gone = pruning.prune_value(value, schema, "")
        for one in gone:
            causes.invalid(f"{path}.default", tree["default"], f"must not have unknown fields: {one}")
        defaulting.fill(value, schema)
        found = Causes()
        values.validate(value, schema, found, old=ABSENT, path=f"{path}.default")
        causes.found += found.found
    for name, inner in tree.get("properties", {}).items():
        _defaults(inner, causes, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(tree.get(word), Mapping):
            _defaults(tree[word], causes, f"{path}.{word}")
