"""What a webhook's JSON patch makes of an object."""

from __future__ import annotations

from typing import Any

from raftsman import codec, errors, patch

from . import reviews

OPERATIONS_MAX = 10_000


class Unfit(Exception):
    """Why the patch or its result cannot be used."""


def patched(obj: Any, operations: list[Any]) -> Any:
    """A new object; fields that nobody knows are dropped. Raises Unfit."""
    if len(operations) > OPERATIONS_MAX:
        raise Unfit(f"a patch of {len(operations)} operations: at most {OPERATIONS_MAX}")
    before = reviews.tree_of(obj)
    try:
        tree = patch.json_patch(before, operations)
    except errors.ApiError as error:
        raise Unfit(error.message) from None
    if not isinstance(tree, dict) or any(tree.get(name) != before.get(name) for name in ("apiVersion", "kind")):
        raise Unfit("the patch changes apiVersion or kind")
    decoded = codec.from_json(tree, type(obj))
    if decoded.wrong:
        raise Unfit("; ".join(f"{one.field}: {one.message}" for one in decoded.wrong))
    return decoded.message
