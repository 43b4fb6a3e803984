"""A structural schema (KEP-2014), compiled: what pruning, defaulting, validation and ownership read.

The JSON of the definition's openAPIV3Schema becomes a tree of Schema. Value validations (`minimum`, `allOf` …) stay
as they are written, in `facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ABSENT: Any = object()
"""No value, which is something else than null."""

ATOMIC, SET, MAP = "atomic", "set", "map"


@dataclass(slots=True)
class Schema:
    """One node."""

    facts: Mapping[str, Any]
    type: str = ""
    nullable: bool = False
    int_or_string: bool = False
    preserve: bool = False
    embedded: bool = False
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    default: Any = ABSENT
    properties: dict[str, Schema] = field(default_factory=dict)
    additional: Schema | None = None
    any_additional: bool = False
    """`additionalProperties: true`: every name is known, and nothing of its value."""

    items: Schema | None = None
    rules: tuple[Mapping[str, Any], ...] = ()
    below_has_rules: bool = False
    has_defaults: bool = False
    """Here or below."""

    def named(self, name: str) -> Schema | None:
        """The schema of a key of an object; None if none is known."""
        return self.properties.get(name) or self.additional

    @property
    def any_rules(self) -> bool:
        return bool(self.rules) or self.below_has_rules

    def item_key(self, item: Any) -> tuple[Any, ...] | None:
        """What tells an item of a list of type map from the others; None if it is no object."""
        if not isinstance(item, dict) or self.items is None:
            return None
        return tuple(item.get(key, self.key_default(key)) for key in self.list_keys)

    def key_default(self, key: str) -> Any:
        found = self.items.properties.get(key) if self.items is not None else None
        return None if found is None or found.default is ABSENT else found.default


ANYTHING = Schema({"x-kubernetes-preserve-unknown-fields": True}, preserve=True)
"""The schema of what no schema describes."""


def compiled(tree: Mapping[str, Any]) -> Schema:
    """The schema that a definition's JSON says."""
    made = Schema(
        tree,
        type=tree.get("type", ""),
        nullable=tree.get("nullable", False),
        int_or_string=tree.get("x-kubernetes-int-or-string", False),
        preserve=tree.get("x-kubernetes-preserve-unknown-fields", False),
        embedded=tree.get("x-kubernetes-embedded-resource", False),
        list_type=tree.get("x-kubernetes-list-type", ""),
        list_keys=tuple(tree.get("x-kubernetes-list-map-keys", ())),
        map_type=tree.get("x-kubernetes-map-type", ""),
        default=tree.get("default", ABSENT),
        properties={name: compiled(inner) for name, inner in tree.get("properties", {}).items()},
        rules=tuple(tree.get("x-kubernetes-validations", ())),
    )
    additional = tree.get("additionalProperties")
    if isinstance(additional, Mapping):
        made.additional = compiled(additional)
    else:
        made.any_additional = additional is True
    if isinstance(tree.get("items"), Mapping):
        made.items = compiled(tree["items"])
    below = [*made.properties.values(), *filter(None, (made.additional, made.items))]
    made.below_has_rules = any(one.any_rules for one in below)
    made.has_defaults = made.default is not ABSENT or any(one.has_defaults for one in below)
    return made
