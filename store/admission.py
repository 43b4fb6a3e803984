"""What this member takes into the log: nothing larger than a request may be, nothing that grows a full state or disk.

Asked before a request is proposed, so it costs nothing in the log. A state at its quota, or a disk without room for
another segment of the log, raises NOSPACE for this member, through the log: from then on every member refuses what
grows, until an operator made room and disarmed it. When even the last segment is full, this member takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import apply, errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.replica import Replica

OPERATION_BYTES_MIN = 4
"""What an operation of a transaction takes at least on the wire: bounds what one can grow by without reading it."""

log = logs.get(__name__)


class Admission:
    """The limits of one member. `quota_bytes` is what `state.bytes` may come to, 0 without a limit."""

    def __init__(self, replica: Replica, *, member: int, request_bytes: int, quota_bytes: int) -> None:
        self._replica = replica
        self._member = member
        self._request_bytes = request_bytes
        self._quota_bytes = quota_bytes
        self._raising: asyncio.Task[None] | None = None
        replica.admit = self.check
        replica.admits_all = self.takes_all
        replica.no_room = self.raise_no_space

    def check(self, kind: Kind, payload: bytes) -> None:
        """Raises request_too_large and no_space."""
        if len(payload) > self._request_bytes:
            raise errors.request_too_large()
        room = self._replica.room
        if room.full:
            raise errors.no_space()
        if (room.short and apply.growth(kind, payload)) or (self._quota_bytes and not self._fits(kind, payload)):
            self.raise_no_space()
            raise errors.no_space()

    def takes_all(self, sizes: Sequence[int], total: int) -> bool:
        """Whether `check` refuses none of those that came together, whatever they are."""
        room = self._replica.room
        if room.full or room.short or max(sizes) > self._request_bytes:
            return False
        return not self._quota_bytes or self._replica.state.bytes + self._at_most(total, len(sizes)) < self._quota_bytes

    @staticmethod
    def _at_most(size: int, count: int = 1) -> int:
        """By how much so many operations of so many bytes may grow the state."""
        return size + apply.KEY_BYTES * (count + size // OPERATION_BYTES_MIN)

    def _fits(self, kind: Kind, payload: bytes) -> bool:
        size = self._replica.state.bytes
        if size + self._at_most(len(payload)) < self._quota_bytes:
            return True  # whatever it is
        grows = apply.growth(kind, payload)
        return not grows or size + grows < self._quota_bytes

    def raise_no_space(self) -> None:
        """Raise NOSPACE for this member, unless it is raised or on its way."""
        raised = (rpc_pb2.NOSPACE, self._member) in self._replica.state.alarms.raised(rpc_pb2.NOSPACE)
        if not raised and self._raising is None:
            self._raising = asyncio.get_running_loop().create_task(self._raise(), name="raise NOSPACE")

    async def _raise(self) -> None:
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=self._member, alarm=rpc_pb2.NOSPACE
        )
        try:
            await self._replica.propose(Kind.ALARM, request.SerializeToString(), who=ITSELF)
            log.warning("alarm raised", alarm="NOSPACE", member=f"{self._member:x}")
        except errors.StoreError as error:
            log.warning("alarm could not be raised", alarm="NOSPACE", error=error)
        finally:
            self._raising = None
