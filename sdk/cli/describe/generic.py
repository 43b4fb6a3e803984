"""Any object, described by its JSON."""

from __future__ import annotations

from typing import Any

from raftsman import codec

from .text import Text, head


def any_object(text: Text, obj: Any) -> None:
    value = codec.to_json(obj)
    head(text, obj, namespaced=bool(obj.metadata.namespace))
    text.field("API Version", value.pop("apiVersion"))
    text.field("Kind", value.pop("kind"))
    meta = {k: v for k, v in value.pop("metadata", {}).items() if k in _SHOWN}
    if meta:
        text.heading("Metadata")
        _mapping(text, meta, 1)
    _mapping(text, value, 0)


_SHOWN = ("creationTimestamp", "generation", "resourceVersion", "uid", "ownerReferences", "finalizers")


def _mapping(text: Text, value: dict[str, Any], level: int) -> None:
    for key in sorted(value):
        _item(text, _words(key), value[key], level)


def _item(text: Text, label: str, value: Any, level: int) -> None:
    if isinstance(value, dict) and value:
        text.heading(label, level)
        _mapping(text, value, level + 1)
    elif isinstance(value, list) and value:
        text.heading(label, level)
        for entry in value:
            if isinstance(entry, dict):
                _mapping(text, entry, level + 1)
            else:
                text.line(str(entry), level + 1)
    elif value not in (None, {}, []):
        text.field(label, value, level)


def _words(key: str) -> str:
    """`holderIdentity` as `Holder Identity`."""
    spaced = "".join(f" {c}" if c.isupper() and i and not key[i - 1].isupper() else c for i, c in enumerate(key))
    return spaced[:1].upper() + spaced[1:]
