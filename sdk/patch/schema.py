"""What a strategic merge must know of a field: read from the same plan as the codec's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor
from raftsman import quantity
from raftsman.codec import plan
from raftsman.options import v1 as options

from . import json

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder/"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


@dataclass(frozen=True, slots=True)
class Schema:
    """How the value of one field is merged.

    `message` describes the value: of an object its fields, of a list its elements, of a map (`of_values`) its values;
    None if it has none. `merges` and `key` are about lists: merged by key, or as a set if `key` is empty.
    """

    message: Descriptor | None = None
    of_values: bool = False
    merges: bool = False
    replaces: bool = False
    key: str = ""
    retain_keys: bool = False

    def field(self, name: str) -> Schema:
        """The schema of a key of an object of this schema."""
        if self.message is None:
            return OPAQUE
        if self.of_values:
            return Schema(self.message)
        if plan.format_of(self.message):
            return OPAQUE
        found = plan.fields(self.message).get(name)
        return OPAQUE if found is None else _of(found)

    def element(self) -> Schema:
        """The schema of an element of a list of this schema."""
        return Schema(self.message, retain_keys=self.retain_keys)

    def same(self, left: Any, right: Any) -> bool:
        """Whether two leaves mean the same: 0.5 and 500m are one quantity."""
        if json.equal(left, right):
            return True
        if self.message is None or plan.format_of(self.message) != options.FORMAT_QUANTITY:
            return False
        try:
            return quantity.parse(str(left)) == quantity.parse(str(right))
        except quantity.QuantityError:
            return False


OPAQUE = Schema()


def of_message(message: type[Any] | None) -> Schema:
    """The schema of a whole object; without a message type, one that merges objects and replaces lists."""
    # A custom resource's class has none.
    descriptor = getattr(message, "DESCRIPTOR", None)
    return OPAQUE if descriptor is None else Schema(descriptor)


def _of(field: plan.Field) -> Schema:
    facts = field.facts
    return Schema(
        field.message,
        of_values=field.shape is plan.Shape.MAP,
        merges=field.shape is plan.Shape.LIST and facts.patch_strategy == options.PATCH_STRATEGY_MERGE,
        replaces=facts.patch_strategy == options.PATCH_STRATEGY_REPLACE,
        key=facts.patch_merge_key,
        retain_keys=facts.retain_keys,
    )


def is_directive(key: str) -> bool:
    return key in (PATCH, RETAIN_KEYS) or key.startswith((SET_ORDER, DELETE_PRIMITIVES))


def without_directives(value: Any) -> Any:
    """A patch's value where there is nothing to merge it with: nulls and directives have done their work."""
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if v is not None and not is_directive(k)}
        return {key: without_directives(item) for key, item in kept.items()}
    if isinstance(value, list):
        kept_items = [item for item in value if not (isinstance(item, Mapping) and item.get(PATCH) == "delete")]
        return [
            without_directives(item) for item in kept_items if not (isinstance(item, Mapping) and set(item) == {PATCH})
        ]
    return value
