"""Automatic compaction, so that memory stays bounded: proposed by the leader, by age or by number of revisions.

Periodic: what was overwritten at least a period ago goes, at first after one period and then every period or every
hour, whichever is shorter; the revision is looked at SAMPLES times between. By number: every REVISION_PERIOD_S, all but
the newest so many revisions. Every member samples, so that a new leader goes on where the last one was; whoever else
compacts (an API server does) is not in the way: what was compacted is not proposed again.
"""

from __future__ import annotations

import asyncio
from collections import deque

from raftsman import logs
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.replica import Replica

SAMPLES = 10
SAMPLE_MIN_S = 0.1
INTERVAL_MAX_S = 3600.0
REVISION_PERIOD_S = 300.0

log = logs.get(__name__)


class Window:
    """The revisions of the last period, one a sample, and whether a compaction is due.

    With a period of 2 h, sampled every 6 minutes: nothing for 20 samples, then the first sample's revision, then every
    10 samples the one that is 20 samples old. What failed is due again at the next sample.
    """

    def __init__(self, period_s: float) -> None:
        interval_s = min(period_s, INTERVAL_MAX_S)
        self.sample_s = max(SAMPLE_MIN_S, interval_s / SAMPLES)
        self._interval = max(1, round(interval_s / self.sample_s))
        self._wait = max(1, round(period_s / self.sample_s))
        self._revisions: deque[int] = deque(maxlen=self._wait + 1)

    def sample(self, revision: int) -> int | None:
        """Take in the revision of now; answers which one to compact at, if it is time."""
        self._revisions.append(revision)
        self._wait -= 1
        return self._revisions[0] if self._wait < 0 else None

    def done(self) -> None:
        """What was due is compacted."""
        self._wait = self._interval - 1


async def run(replica: Replica, *, mode: str, retention: float) -> None:
    """Compact for ever. `retention` is seconds (periodic) or revisions (revision); 0 returns at once."""
    if not retention:
        return
    if mode == "revision":
        while True:
            await asyncio.sleep(REVISION_PERIOD_S)
            if replica.role.leading:
                await _compact(replica, replica.state.revision - int(retention))
    window = Window(retention)
    while True:
        due = window.sample(replica.state.revision)
        if due is not None and replica.role.leading and await _compact(replica, due):
            window.done()
        await asyncio.sleep(window.sample_s)


async def _compact(replica: Replica, revision: int) -> bool:
    """Whether everything before `revision` is compacted now."""
    if revision <= max(replica.state.compacted, 1):
        return True
    request = rpc_pb2.CompactionRequest(revision=revision)
    try:
        await replica.propose(Kind.COMPACT, request.SerializeToString(), who=ITSELF)
    except errors.StoreError as error:
        if error.text != errors.compacted().text:
            log.warning("compaction failed", revision=revision, error=error)
            return False
    log.debug("compacted", revision=revision)
    return True
