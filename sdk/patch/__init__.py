"""Patches of JSON-shaped objects: applying them and making them.

| | apply | make |
|---|---|---|
| RFC 6902 | `json_patch(document, operations)` | |
| RFC 7386 | `merge_patch(document, patch)` | `two_way_merge`, `three_way_merge` |
| strategic merge | `strategic_merge(document, patch, core.Pod)` | `two_way_strategic`, `three_way_strategic` |

Nothing is changed in place. Strategic merge is driven by the options on the message type: merge keys, retained keys,
atomic lists. A patch that is malformed is answered with errors.BadRequest, one that does not fit the document with
errors.Invalid; both name the path.
"""

from .create import three_way_merge, three_way_strategic, two_way_merge, two_way_strategic
from .json import json_patch
from .merge import merge_patch
from .strategic import strategic_merge

__all__ = [
    "json_patch",
    "merge_patch",
    "strategic_merge",
    "three_way_merge",
    "three_way_strategic",
    "two_way_merge",
    "two_way_strategic",
]
