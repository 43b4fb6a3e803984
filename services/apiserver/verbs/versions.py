"""Writes in a version that is stored as another: what was sent is converted, checked, stored as that and shown again.

Ownership is kept in the names of the stored version, whichever version a manager writes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from google.protobuf.message import Message
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache import views
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import decoding


def stored_call(call: Call) -> Call:
    """The same request for the stored version."""
    return call if call.kind.view is None else dataclasses.replace(call, kind=call.kind.stored_as)


def to_stored(kind: Kind, obj: Any) -> Any:
    return obj if kind.view is None else kind.view.to_stored(obj)


def new_to_stored(kind: Kind, obj: Any) -> Any:
    """Of a new object; errors.Invalid if it breaks a rule of its version."""
    if kind.view is not None:
        causes = Causes()
        kind.default(obj)
        kind.validate(obj, causes)
        decoding.refuse(kind, obj.metadata.name, (), causes)
    return to_stored(kind, obj)


def changed_to_stored(kind: Kind, new: Any, found: CachedObject) -> Any:
    """Of an update of `found`; errors.Invalid if it breaks a rule of its version."""
    if kind.view is not None:
        causes = Causes()
        kind.default(new)
        kind.validate_update(new, kind.view.from_stored(found.parsed()), causes)
        decoding.refuse(kind, found.name, (), causes)
    return to_stored(kind, new)


def answer(kind: Kind, found: CachedObject) -> bytes:
    return views.shown(kind, found).data


def live(kind: Kind, found: CachedObject) -> Any:
    """What is stored, as a message of the version that a patch is made for."""
    return found.parsed() if kind.view is None else kind.view.from_stored(found.parsed())


def config(call: Call, tree: dict[str, Any], options: meta.WriteOptions) -> dict[str, Any]:
    """What an apply names, in the names of the stored version."""
    if call.kind.view is None:
        return tree
    return named(call.kind.view.to_stored(decoding.from_tree(call, tree, options)))


def named(message: Message) -> dict[str, Any]:
    """The JSON of what is set in a message, without what stands in any JSON of it."""
    from raftsman import codec

    return _set_only(codec.to_json(message, type_meta=False), message)


def _set_only(tree: dict[str, Any], message: Message) -> dict[str, Any]:
    found = {}
    for field, value in message.ListFields():
        item = tree.get(field.json_name)
        if isinstance(value, Message) and isinstance(item, dict):
            item = _set_only(item, value)
        elif field.is_repeated and field.message_type is not None and isinstance(item, list):
            item = [
                _set_only(one, part) if isinstance(one, dict) else one for one, part in zip(item, value, strict=True)
            ]
        if item is not None:
            found[field.json_name] = item
    return found
