"""What pods that must wait are told: the condition PodScheduled=False, with the reason.

Writes Pod.status, one pod at a time and the newest word only; a pod that found a node meanwhile is left alone, and each
write names the revision that it was made for, so that it can never undo the condition of a binding. Holds at most one
entry a pod that waits. A write that fails is tried again ATTEMPTS_MAX times, then it is the next decision's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raftsman import Client, PatchType, errors, logs, metadata, times
from raftsman.core import v1 as core
from raftsman.metadata import Key

ATTEMPTS_MAX = 3
RETRY_S = 0.2
UNSCHEDULABLE, GATED = "Unschedulable", "SchedulingGated"
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pod is not scheduled."""

    reason: str
    message: str


def patch_for(pod: core.Pod, verdict: Verdict, *, now_s: float) -> dict[str, Any] | None:
    """The strategic merge patch of the pod's status; None if it says so already."""
    known = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
    if known is not None and (known.status, known.reason, known.message) == ("False", verdict.reason, verdict.message):
        return None
    since = known.last_transition_time.seconds if known is not None and known.status == "False" else int(now_s)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": verdict.reason,
        "message": verdict.message,
        "lastTransitionTime": times.format_seconds(since),
    }
    identity = {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version}
    return {"metadata": identity, "status": {"conditions": [condition]}}


class Conditions:
    """Verdicts that are still to be written. `waiting` gives the newest state of a pod that still has no node."""

    def __init__(self, client: Client, waiting: Callable[[Key, str], core.Pod | None]) -> None:
        self._client = client
        self._waiting = waiting
        self._pending: dict[str, tuple[Key, Verdict]] = {}
        self._signal = asyncio.Event()

    def tell(self, pod: core.Pod, verdict: Verdict) -> None:
        self._pending[pod.metadata.uid] = (metadata.key_of(pod), verdict)
        self._signal.set()

    def withdraw(self, uid: str) -> None:
        """It found a node, or is gone."""
        self._pending.pop(uid, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._pending:
                uid = next(iter(self._pending))
                key, verdict = self._pending.pop(uid)
                await self._write(uid, key, verdict)

    async def _write(self, uid: str, key: Key, verdict: Verdict) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            pod = self._waiting(key, uid)
            patch = patch_for(pod, verdict, now_s=time.time()) if pod is not None else None
            if patch is None or uid in self._pending:
                return
            try:
                await self._client.patch(
                    core.Pod, key.name, patch, namespace=key.namespace, type=PatchType.STRATEGIC, subresource="status"
                )
            except errors.NotFound:
                return
            except errors.ApiError as error:
                if attempt == ATTEMPTS_MAX:
                    log.warning("condition not written", pod=key, error=error)
                    return
                await asyncio.sleep(RETRY_S * attempt)
            else:
                return
