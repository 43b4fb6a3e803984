"""The conditions of a transaction."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from raftsman.etcd import rpc_pb2
from raftsman.store import errors

from .index import KeyIndex

_Compare = rpc_pb2.Compare
_Read = Callable[[Any], Any]
_TARGETS: dict[int, tuple[_Read, _Read]] = {
    _Compare.VALUE: (operator.attrgetter("value"), operator.attrgetter("value")),
    _Compare.VERSION: (operator.attrgetter("version"), operator.attrgetter("version")),
    _Compare.CREATE: (operator.attrgetter("create_revision"), operator.attrgetter("create_revision")),
    _Compare.MOD: (operator.attrgetter("mod_revision"), operator.attrgetter("mod_revision")),
    _Compare.LEASE: (operator.attrgetter("lease"), operator.attrgetter("lease")),
}
"""What is compared: how the condition and a record say it."""
_RESULTS: dict[int, Callable[[Any, Any], bool]] = {
    _Compare.EQUAL: operator.eq,
    _Compare.GREATER: operator.gt,
    _Compare.LESS: operator.lt,
    _Compare.NOT_EQUAL: operator.ne,
}


def holds(index: KeyIndex, compare: _Compare) -> bool:
    """Whether a condition holds for the key, or for every key of the range; an empty range is one missing key.

    Raises invalid request for one that this program does not understand.
    """
    target = compare.target
    try:
        wanted_of, actual_of = _TARGETS[target]
        matches = _RESULTS[compare.result]
    except KeyError:
        raise errors.invalid_request("unknown compare result or target") from None
    wanted = wanted_of(compare)
    empty = True
    for record in index.live(compare.key, compare.range_end):
        if not matches(actual_of(record), wanted):
            return False
        empty = False
    return not empty or (target != _Compare.VALUE and matches(0, wanted))
