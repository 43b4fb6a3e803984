"""RFC 7386: an object merges key by key, null removes, anything else replaces."""

from __future__ import annotations

import copy
from typing import Any

from raftsman import errors

DEPTH_MAX = 200


def merge_patch(document: Any, patch: Any, *, path: str = "") -> Any:
    """The document after the patch. errors.BadRequest for a patch nested deeper than DEPTH_MAX."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if path.count(".") > DEPTH_MAX:
        raise errors.BadRequest(f"the patch is nested more than {DEPTH_MAX} levels deep")
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value, path=f"{path}.{key}")
    return result
