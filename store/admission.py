"""What this member takes into the log: nothing larger than a request may be, nothing that grows a full state.

Asked before a request is proposed, so it costs nothing in the log. A state at its quota raises NOSPACE for this member,
through the log: from then on every member refuses, until an operator made room and disarmed it.
"""

from __future__ import annotations

import asyncio

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import apply, errors
from raftsman.store.commands import Kind
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

    def check(self, kind: Kind, payload: bytes) -> None:
        """Raises request_too_large and no_space."""
        if len(payload) > self._request_bytes:
            raise errors.request_too_large()
        if self._quota_bytes and not self._fits(kind, payload):
            self.raise_no_space()
            raise errors.no_space()

    def _fits(self, kind: Kind, payload: bytes) -> bool:
        size = self._replica.state.bytes
        at_most = len(payload) + apply.KEY_BYTES * (1 + len(payload) // OPERATION_BYTES_MIN)
        if size + at_most < self._quota_bytes:
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
            await self._replica.propose(Kind.ALARM, request.SerializeToString())
            log.warning("alarm raised", alarm="NOSPACE", member=f"{self._member:x}")
        except errors.StoreError as error:
            log.warning("alarm could not be raised", alarm="NOSPACE", error=error)
        finally:
            self._raising = None
