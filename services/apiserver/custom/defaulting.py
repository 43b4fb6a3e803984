"""What a structural schema has defaults for is filled in: on the way in, and on the way out of the store.

Before that, nulls go where null is no value: the default, if there is one, comes in their place.
"""

from __future__ import annotations

import copy
from typing import Any

from .schema import ABSENT, Schema


def fill(value: Any, schema: Schema) -> None:
    """Default a value in place, from the outside in: a default is itself filled."""
    if isinstance(value, dict):
        _object(value, schema)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            if item is None and not schema.items.nullable and schema.items.default is not ABSENT:
                value[index] = copy.deepcopy(schema.items.default)
            fill(value[index], schema.items)


def _object(value: dict[str, Any], schema: Schema) -> None:
    for name in [name for name, inner in value.items() if inner is None]:
        below = schema.named(name)
        if below is not None and not below.nullable:
            del value[name]
            if name not in schema.properties and below.default is not ABSENT:
                value[name] = copy.deepcopy(below.default)
    for name, below in schema.properties.items():
        if below.default is not ABSENT and name not in value:
            value[name] = copy.deepcopy(below.default)
    for name, inner in value.items():
        found = schema.named(name)
        if found is not None:
            fill(inner, found)
