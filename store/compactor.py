"""Automatic compaction, so that memory stays bounded: proposed by the leader, by age or by number of revisions.

Looks at the revision SAMPLES times a retention period, at least every SAMPLE_MAX_S, and proposes nothing when nothing
was written.
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

SAMPLES = 5
SAMPLE_MIN_S = 1.0
REVISION_PERIOD_S = 300.0

log = logs.get(__name__)


async def run(replica: Replica, *, mode: str, retention: float) -> None:
    """Compact for ever. `retention` is seconds (periodic) or revisions (revision); 0 returns at once."""
    if not retention:
        return
    if mode == "revision":
        while True:
            await asyncio.sleep(REVISION_PERIOD_S)
            await _compact(replica, replica.state.revision - int(retention))
    seen: deque[int] = deque(maxlen=SAMPLES)
    while True:
        await asyncio.sleep(max(SAMPLE_MIN_S, retention / SAMPLES))
        if len(seen) == SAMPLES:
            await _compact(replica, seen[0])
        seen.append(replica.state.revision)


async def _compact(replica: Replica, revision: int) -> None:
    if not replica.role.leading or revision <= replica.state.compacted or revision <= 1:
        return
    request = rpc_pb2.CompactionRequest(revision=revision)
    try:
        await replica.propose(Kind.COMPACT, request.SerializeToString(), who=ITSELF)
        log.debug("compacted", revision=revision)
    except errors.StoreError as error:
        log.warning("compaction failed", revision=revision, error=error)
