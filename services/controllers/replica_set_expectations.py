"""Which of a ReplicaSet's own writes its cache has not shown yet.

A cache lags behind the API. A controller that counted it before its last creations have arrived there would create
them again. So before it writes it expects what it is about to do, the watch takes off what it shows, and a count is
trusted again when nothing is left to expect, or after EXPECTATION_S, as a lost event must not stop a workload for ever.

    expectations.expect_creations(key, 3, now=0.0)      {key: 3 creations}
    expectations.saw_creation(key)                      {key: 2 creations}
    expectations.expect_creations(key, -2, now=0.0)     two of the calls failed: {}

Pure: the clock is an argument. Holds one entry for each ReplicaSet that waits, dropped when it is settled or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from raftsman.metadata import Key

EXPECTATION_S = 300.0


@dataclass(slots=True)
class _Expected:
    creations: int
    deletions: set[str]
    deadline: float = field(default=0.0)


class Expectations:
    """By ReplicaSet: a number of creations and the uids of deletions that are still to be seen."""

    def __init__(self) -> None:
        self._expected: dict[Key, _Expected] = {}

    def settled(self, key: Key, *, now: float) -> bool:
        """The cache shows everything that was done, or it has been waited for long enough."""
        expected = self._expected.get(key)
        if expected is None:
            return True
        if (expected.creations <= 0 and not expected.deletions) or now >= expected.deadline:
            del self._expected[key]
            return True
        return False

    def expect_creations(self, key: Key, count: int, *, now: float) -> None:
        """`count` more creations; a negative one takes back those that were expected and did not succeed."""
        expected = self._expected.setdefault(key, _Expected(0, set()))
        expected.creations += count
        expected.deadline = now + EXPECTATION_S

    def expect_deletions(self, key: Key, uids: Iterable[str], *, now: float) -> None:
        expected = self._expected.setdefault(key, _Expected(0, set()))
        expected.deletions.update(uids)
        expected.deadline = now + EXPECTATION_S

    def saw_creation(self, key: Key) -> None:
        expected = self._expected.get(key)
        if expected is not None:
            expected.creations -= 1

    def saw_deletion(self, key: Key, uid: str) -> None:
        expected = self._expected.get(key)
        if expected is not None:
            expected.deletions.discard(uid)

    def forget(self, key: Key) -> None:
        self._expected.pop(key, None)
