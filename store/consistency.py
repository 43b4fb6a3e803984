"""Whether the members' states are the same: digests compared at the leader, a difference raised as CORRUPT.

Every EVERY entries each member notes the running digest of all changes; every SCAN_EVERY, of a small state every
SCAN_SMALL_EVERY, it reads its whole state, in slices and as it was at that entry, and digests what can be read, so that
memory that changed by itself is found too.
Followers and learners tell the leader. Members that applied the same entries have the same digests: who differs from
the majority of the voters is named; without a majority everybody is who reported. A member that starts, lags or leads
anew loses nothing by it: what differs once differs at the next entry too. Bounds: KEPT_MAX entries are remembered, one
scan and REPORTS_MAX reports are under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

import msgspec
from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc import alarms
from raftsman.store.mvcc import hash as digests
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.mvcc.view import View
from raftsman.store.replica import Replica

EVERY = 500
SCAN_EVERY = 50_000
SCAN_SMALL_EVERY = 2_000
SMALL_BYTES = 4 << 20
KEPT_MAX = 64
REPORTS_MAX = 16
CALL = b"H"
"""What a member's report begins with, to tell it from other questions to the leader."""

log = logs.get(__name__)


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A member's digest at an entry: of the changes up to it, or (`scan`) of everything that could be read then."""

    member: int
    index: int
    scan: bool
    digest: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode
_Place = tuple[int, bool]


def strays(digests_: dict[int, int], *, voters: set[int]) -> set[int]:
    """Which members to name, given the digests that some reported: none while all agree.

    Those who differ from a majority of the voters; nobody while voters who have not reported could still make one.
    """
    if len(set(digests_.values())) < 2:
        return set()
    told = Counter(digest for member, digest in digests_.items() if member in voters)
    digest, count = max(told.items(), key=lambda item: item[1], default=(0, 0))
    majority = len(voters) // 2 + 1
    if count >= majority:
        return {member for member, each in digests_.items() if each != digest}
    missing = len(voters) - told.total()
    return set() if count + missing >= majority else set(digests_)


class Consistency:
    """One member's digests and, while it leads, everybody's."""

    def __init__(self, replica: Replica, *, member: int, voters: Callable[[], set[int]]) -> None:
        """`voters` are those of the cluster as it is now."""
        self._replica = replica
        self._member = member
        self._voters = voters
        self._reported: dict[_Place, dict[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scanning = False
        self._others_answer = replica.answer_call
        replica.answer_call = self._answer
        replica.at_index = self.at

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def at(self, index: int) -> None:
        """An entry was applied, and nothing after it."""
        if index % EVERY or len(self._replica.state.members) == 1:
            return  # nobody to compare with
        state = self._replica.state
        if state.hash.value != digests.UNKNOWN:
            self._tell(Report(self._member, index, False, state.hash.value))
        scan_every = SCAN_SMALL_EVERY if state.bytes < SMALL_BYTES else SCAN_EVERY
        if index % scan_every == 0 and not self._scanning:
            self._scanning = True
            self._run(self._scan(state.view(), index))

    async def _scan(self, view: View, index: int) -> None:
        try:
            digest = digests.SEED
            for digest in digests.of_records(view):  # noqa: B007
                await asyncio.sleep(0)
            self._tell(Report(self._member, index, True, digest))
        finally:
            view.close()
            self._scanning = False

    def _tell(self, report: Report) -> None:
        if self._replica.role.leading:
            self._compare(report)
        elif len(self._tasks) < REPORTS_MAX:
            self._run(self._send(report))

    async def _send(self, report: Report) -> None:
        try:
            await self._replica.call_leader(CALL + _encode(report))
        except errors.StoreError as error:
            log.debug("digest not compared", index=report.index, error=error)

    def _answer(self, payload: bytes) -> bytes:
        if not payload.startswith(CALL):
            assert self._others_answer is not None
            return self._others_answer(payload)
        self._compare(_decode(payload[len(CALL) :]))
        return b""

    def _compare(self, report: Report) -> None:
        """The leader's part. Digests of one entry come in any order, the leader's own too."""
        place = report.index, report.scan
        reported = self._reported.setdefault(place, {})
        reported[report.member] = report.digest
        while len(self._reported) > KEPT_MAX:
            del self._reported[min(self._reported)]
        for member in strays(reported, voters=self._voters()):
            if (alarms.CORRUPT, member) not in self._replica.state.alarms.raised(alarms.CORRUPT):
                log.error("states differ", member=f"{member:x}", index=report.index, scan=report.scan)
                self._run(self._raise(member))

    async def _raise(self, member: int) -> None:
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=member, alarm=rpc_pb2.AlarmType.CORRUPT
        )
        try:
            await self._replica.propose(Kind.ALARM, request.SerializeToString(), who=ITSELF)
        except errors.StoreError as error:
            log.error("alarm could not be raised", alarm="CORRUPT", member=f"{member:x}", error=error)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
