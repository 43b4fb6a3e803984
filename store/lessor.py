"""Deadlines of leases: the leader's monotonic clock, never the state's.

Reads the leases of the replica; while this member leads, proposes the revocation of those that ran out. Taking office,
it gives every lease its full time again. At most REVOKES_MAX revocations are under way; one timer, set to the next
deadline.
"""

from __future__ import annotations

import asyncio

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.raft import clock, events
from raftsman.store.replica import Replica

REVOKES_MAX = 64
RETRY_S = 1.0

log = logs.get(__name__)


class Lessor:
    """An observer of the replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._deadlines: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._revoking: dict[int, asyncio.Task[None]] = {}
        self._role = events.Role(None, False, 0)
        replica.observers.append(self)

    def keep_alive(self, lease_id: int) -> int:
        """Start a lease's time again; answers its ttl in seconds. The leader only. Raises lease_not_found."""
        lease = self._replica.state.leases.require(lease_id)
        if lease_id in self._revoking:
            raise errors.lease_not_found()
        self._deadlines[lease_id] = clock.now() + lease.ttl_s
        return lease.ttl_s

    def remaining_s(self, lease_id: int) -> int:
        """Whole seconds left, 0 when it is being revoked. The leader only. Raises lease_not_found."""
        self._replica.state.leases.require(lease_id)
        return max(0, int(self._deadlines.get(lease_id, 0.0) - clock.now()))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._revoking.values():
            task.cancel()

    # -- replica.Observer

    def led(self, role: events.Role) -> None:
        if role.leading and (not self._role.leading or role.term != self._role.term):
            self._restart_all()
        elif not role.leading:
            self._deadlines.clear()
        self._role = role
        self._schedule()

    def lease_changed(self, lease_id: int) -> None:
        lease = self._replica.state.leases.get(lease_id)
        if lease is None:
            self._deadlines.pop(lease_id, None)
        elif self._role.leading:
            self._deadlines[lease_id] = clock.now() + lease.ttl_s
            self._schedule()

    def replaced(self) -> None:
        """A follower got a snapshot; it keeps no deadlines."""

    def changed(self, first: int, last: int) -> None:
        """Keys do not move deadlines."""

    def compacted(self, revision: int) -> None:
        """Nor does compaction."""

    # -- expiry

    def _restart_all(self) -> None:
        now = clock.now()
        leases = self._replica.state.leases
        self._deadlines = {lease_id: now + leases.require(lease_id).ttl_s for lease_id in leases.ids()}

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [at for lease_id, at in self._deadlines.items() if lease_id not in self._revoking]
        if waiting and len(self._revoking) < REVOKES_MAX:
            delay = max(0.0, min(waiting) - clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = clock.now()
        for lease_id, at in list(self._deadlines.items()):
            if at <= now and lease_id not in self._revoking and len(self._revoking) < REVOKES_MAX:
                task = asyncio.get_running_loop().create_task(self._revoke(lease_id), name=f"revoke {lease_id:x}")
                self._revoking[lease_id] = task
        self._schedule()

    async def _revoke(self, lease_id: int) -> None:
        try:
            request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
            await self._replica.propose(Kind.LEASE_REVOKE, request.SerializeToString(), who=ITSELF)
            log.debug("lease expired", lease=f"{lease_id:x}")
        except errors.StoreError as error:
            log.warning("lease could not be revoked", lease=f"{lease_id:x}", error=error)
            if lease_id in self._deadlines:
                self._deadlines[lease_id] = clock.now() + RETRY_S
        finally:
            self._revoking.pop(lease_id, None)
            self._schedule()
