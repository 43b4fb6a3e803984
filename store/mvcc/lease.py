"""Leases and the keys that hang on them. Deadlines are the leader's business, outside the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from raftsman.store import errors

TTL_S_MIN = 2
"""etcd's with its default election timeout: a lease outlives the election of who keeps it alive."""
TTL_S_MAX = 9_000_000_000


@dataclass(slots=True)
class Lease:
    """ttl_s is what was granted. keys are those whose newest record carries this lease."""

    id: int
    ttl_s: int
    keys: set[bytes] = field(default_factory=set)


class Leases:
    """Every lease by its id."""

    def __init__(self) -> None:
        self._by_id: dict[int, Lease] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def ids(self) -> list[int]:
        return sorted(self._by_id)

    def get(self, lease_id: int) -> Lease | None:
        return self._by_id.get(lease_id)

    def require(self, lease_id: int) -> Lease:
        lease = self._by_id.get(lease_id)
        if lease is None:
            raise errors.lease_not_found()
        return lease

    def grant(self, lease_id: int, ttl_s: int) -> Lease:
        if ttl_s > TTL_S_MAX:
            raise errors.lease_ttl_too_large()
        if lease_id in self._by_id:
            raise errors.lease_exists()
        lease = Lease(lease_id, max(TTL_S_MIN, ttl_s))
        self._by_id[lease_id] = lease
        return lease

    def remove(self, lease_id: int) -> Lease:
        self.require(lease_id)
        return self._by_id.pop(lease_id)

    def attach(self, key: bytes, *, old: int, new: int) -> None:
        """Move a key from one lease to another; 0 is none."""
        if old == new:
            return
        before = self._by_id.get(old)
        if before is not None:
            before.keys.discard(key)
        if new:
            self._by_id[new].keys.add(key)

    # -- state.Part

    def dump(self) -> list[tuple[int, int]]:
        """(id, ttl in seconds) of every lease; which keys hang on it stands in the keys' records."""
        return [(lease.id, lease.ttl_s) for _, lease in sorted(self._by_id.items())]

    def load(self, dumped: Iterable[tuple[int, int]]) -> None:
        for lease_id, ttl_s in dumped:
            self.grant(lease_id, ttl_s)
