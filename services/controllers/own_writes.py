"""What a controller wrote and its cache does not show yet.

A cache is a moment behind. A controller that decides from it before it has seen its own last writes makes them twice;
so it notes them here, and waits until the cache shows them (the events that do so wake it) or until FORGET_S passed,
which covers an object that was changed or deleted again before the cache came by. Holds one entry a written object.
"""

from __future__ import annotations

from typing import Any

from raftsman.informer import Cache
from raftsman.metadata import Key, key_of

FORGET_S = 10.0


class OwnWrites:
    """Of one controller and one kind, by the key of the object that the controller looks after."""

    def __init__(self) -> None:
        self._pending: dict[Key, dict[Key, tuple[int, float]]] = {}

    def stored(self, key: Key, obj: Any, *, now_s: float) -> None:
        """`obj`, as the API answered it, was created or updated for `key`. `now_s` is a monotonic clock's."""
        revision = int(obj.metadata.resource_version or 0)
        self._pending.setdefault(key, {})[key_of(obj)] = (revision, now_s)

    def forget(self, key: Key) -> None:
        self._pending.pop(key, None)

    def settled(self, key: Key, cache: Cache[Any], *, now_s: float) -> bool:
        """Whether `cache` shows everything that was stored for `key`."""
        pending = self._pending.get(key)
        if not pending:
            return True
        for written, (revision, at_s) in [*pending.items()]:
            if now_s - at_s > FORGET_S or _revision(cache.get(written)) >= revision:
                del pending[written]
        if pending:
            return False
        del self._pending[key]
        return True


def _revision(obj: Any | None) -> int:
    return int(obj.metadata.resource_version or 0) if obj is not None else -1
