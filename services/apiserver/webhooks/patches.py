"""What a webhook's JSON patch makes of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from raftsman import codec, errors, patch

from . import reviews

OPERATIONS_MAX = 10_000


if TYPE_CHECKING:
    from raftsman.services.apiserver.kinds import Kind


class Unfit(Exception):
    """Why the patch or its result cannot be used."""


def apply(obj: Any, kind: Kind, operations: list[Any]) -> bool:
    """Change the object; whether that made a difference. Fields that nobody knows are dropped. Raises Unfit."""
    if len(operations) > OPERATIONS_MAX:
        raise Unfit(f"a patch of {len(operations)} operations: at most {OPERATIONS_MAX}")
    before = reviews.tree_of(obj, kind)
    try:
        tree = patch.json_patch(before, operations)
    except errors.ApiError as error:
        raise Unfit(error.message) from None
    if not isinstance(tree, dict) or any(tree.get(name) != before.get(name) for name in ("apiVersion", "kind")):
        raise Unfit("the patch changes apiVersion or kind")
    decoded = codec.from_json(tree, type(obj)) if isinstance(obj, Message) else kind.form.decode(tree)
    if decoded.wrong:
        raise Unfit("; ".join(f"{one.field}: {one.message}" for one in decoded.wrong))
    if reviews.tree_of(decoded.message, kind) == before:
        return False
    _take(obj, decoded.message)
    return True


def _take(into: Any, source: Any) -> None:
    """A document has its metadata as a message, and all else as content."""
    if isinstance(into, Message):
        into.CopyFrom(source)
    else:
        into.metadata.CopyFrom(source.metadata)
        into.content = source.content
