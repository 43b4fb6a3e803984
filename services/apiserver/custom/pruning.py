"""What a structural schema does not know is taken out of an object, and named.

A schema that preserves unknown fields keeps them; what it does know is pruned all the same. An embedded resource keeps
apiVersion, kind and metadata, and its metadata is what metadata can be.
"""

from __future__ import annotations

from typing import Any

from raftsman import codec, errors
from raftsman.meta import v1 as meta

from .schema import Schema

_OWN = frozenset({"apiVersion", "kind", "metadata"})


def prune(content: dict[str, Any], schema: Schema) -> list[str]:
    """Prune an object's content in place; the paths of what went."""
    gone: list[str] = []
    _object(content, schema, "", gone, own=_OWN)
    return gone


def prune_value(value: Any, schema: Schema, path: str = "") -> list[str]:
    """The same of any value, such as a default."""
    gone: list[str] = []
    _value(value, schema, path, gone)
    return gone


def _value(value: Any, schema: Schema, path: str, gone: list[str]) -> None:
    if isinstance(value, dict):
        _object(value, schema, path, gone, own=_OWN if schema.embedded else frozenset())
    elif isinstance(value, list):
        if schema.items is not None:
            for index, item in enumerate(value):
                _value(item, schema.items, f"{path}[{index}]", gone)
        elif not schema.preserve:
            for index, item in enumerate(value):
                _value(item, _NOTHING, f"{path}[{index}]", gone)


def _object(value: dict[str, Any], schema: Schema, path: str, gone: list[str], *, own: frozenset[str]) -> None:
    for name in list(value):
        inner = schema.named(name)
        at = f"{path}.{name}" if path else name
        if name in own:
            continue
        if inner is not None:
            _value(value[name], inner, at, gone)
        elif not schema.preserve and not schema.any_additional:
            gone.append(at)
            del value[name]


_NOTHING = Schema({})


def settle_embedded(content: dict[str, Any], schema: Schema) -> list[errors.Cause]:
    """Let the metadata of embedded resources be metadata; what it has beside that, or wrong."""
    problems: list[errors.Cause] = []
    _settle(content, schema, "", problems)
    return problems


def _settle(value: Any, schema: Schema, path: str, problems: list[errors.Cause]) -> None:
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            _settle(item, schema.items, f"{path}[{index}]", problems)
    elif isinstance(value, dict):
        if schema.embedded and isinstance(value.get("metadata"), dict):
            decoded = codec.from_json(value["metadata"], meta.ObjectMeta, path=f"{path}.metadata")
            problems += decoded.problems
            value["metadata"] = codec.to_json(decoded.message)
        for name, inner in value.items():
            below = schema.named(name)
            if below is not None:
                _settle(inner, below, f"{path}.{name}" if path else name, problems)
