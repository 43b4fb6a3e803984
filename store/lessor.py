"""Deadlines of leases: the leader's monotonic clock, never the state's.

Reads the leases of the replica; while this member leads, proposes the revocation of those that ran out. Taking office,
it gives every lease its full time again. At most REVOKES_MAX revocations are under way; one timer, set to the next
deadline. A keep-alive costs the same however many leases there are: it only notes the new deadline, and a lease that
comes up in the queue before its time goes back into it.
"""

from __future__ import annotations

import asyncio
import heapq

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.raft import clock, events
from raftsman.store.replica import Replica

REVOKES_MAX = 64
RETRY_S = 1.0
QUEUE_SLACK = 64

log = logs.get(__name__)


class Lessor:
    """An observer of the replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._deadlines: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.expired = self.renewed = 0
        self._revoking: dict[int, asyncio.Task[None]] = {}
        self._role = events.Role(None, False, 0)
        replica.observers.append(self)

    def keep_alive(self, lease_id: int) -> int:
        """Start a lease's time again; answers its ttl in seconds. The leader only. Raises lease_not_found."""
        lease = self._replica.state.leases.require(lease_id)
        if lease_id in self._revoking:
            raise errors.lease_not_found()
        self._deadlines[lease_id] = clock.now() + lease.ttl_s
        self.renewed += 1
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
            self._queue.clear()
            self._queued.clear()
        self._role = role
        self._schedule()

    def lease_changed(self, lease_id: int) -> None:
        lease = self._replica.state.leases.get(lease_id)
        if lease is None:
            self._deadlines.pop(lease_id, None)
            self._queued.pop(lease_id, None)
        elif self._role.leading:
            self._wait(lease_id, clock.now() + lease.ttl_s)
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
        self._queued = dict(self._deadlines)
        self._queue = [(at, lease_id) for lease_id, at in self._deadlines.items()]
        heapq.heapify(self._queue)

    def _wait(self, lease_id: int, at: float) -> None:
        """Look at a lease at a time; what was in the queue for it no longer counts."""
        self._deadlines[lease_id] = self._queued[lease_id] = at
        heapq.heappush(self._queue, (at, lease_id))
        if len(self._queue) > 2 * len(self._queued) + QUEUE_SLACK:  # leases that were revoked long before their time
            self._queue = [(at, lease_id) for lease_id, at in self._queued.items()]
            heapq.heapify(self._queue)

    def _schedule(self) -> None:
        queue = self._queue
        while queue and self._queued.get(queue[0][1]) != queue[0][0]:
            heapq.heappop(queue)
        if not queue or len(self._revoking) >= REVOKES_MAX:
            return
        at = queue[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - clock.now()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = clock.now()
        queue = self._queue
        while queue and queue[0][0] <= now and len(self._revoking) < REVOKES_MAX:
            at, lease_id = heapq.heappop(queue)
            if self._queued.get(lease_id) != at:
                continue
            deadline = self._deadlines[lease_id]
            if lease_id in self._revoking:
                deadline = now + RETRY_S
            if deadline > now:
                self._wait(lease_id, deadline)
                continue
            del self._queued[lease_id]
            task = asyncio.get_running_loop().create_task(self._revoke(lease_id), name=f"revoke {lease_id:x}")
            self._revoking[lease_id] = task
        self._schedule()

    async def _revoke(self, lease_id: int) -> None:
        try:
            request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
            payload, term = request.SerializeToString(), self._role.term
            await self._replica.propose(Kind.LEASE_REVOKE, payload, who=ITSELF, term=term)
            self.expired += 1
            log.debug("lease expired", lease=f"{lease_id:x}")
        except errors.StoreError as error:
            if lease_id in self._deadlines:
                log.warning("lease could not be revoked", lease=f"{lease_id:x}", error=error, retry_s=RETRY_S)
                self._wait(lease_id, clock.now() + RETRY_S)
        finally:
            self._revoking.pop(lease_id, None)
            self._schedule()
