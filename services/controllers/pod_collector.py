"""Remove pods that nobody else can remove: those of nodes that no longer exist.

Reads Pod and Node; writes Pod (delete, at once). A node must have been missing for QUARANTINE_S by what is seen here,
and still be missing when asked for directly, since a node that registers again comes back with its pods. A pod that is
being deleted and was never placed has nobody to end it either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from raftsman import errors, logs, metadata
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core
from raftsman.metadata import key_of

from .node_lifecycle import pod_node

QUARANTINE_S = 40.0
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    pod: core.Pod
    missing_s: float | None
    """How long its node has been missing; None: it is there."""


@dataclass(frozen=True, slots=True)
class Plan:
    delete: bool = False
    wait_s: float | None = None


def decide(observed: Observed) -> Plan:
    if not observed.pod.spec.node_name:
        return Plan(delete=metadata.is_deleting(observed.pod))
    if observed.missing_s is None:
        return Plan()
    if observed.missing_s < QUARANTINE_S:
        return Plan(wait_s=QUARANTINE_S - observed.missing_s)
    return Plan(delete=True)


class PodCollector(Controller):
    name = "pod-collector"
    component = "pod-garbage-collector"

    def __init__(self) -> None:
        self.watches = (
            Watch(core.Pod, indexers={"node": pod_node}, changed=_pod_matters),
            Watch(core.Node, key=self._pods, changed=lambda old, new: False),
        )
        self._missing: dict[str, float] = {}

    def _pods(self, node: core.Node) -> Iterable[Key]:
        return [key_of(pod) for pod in self.cache(core.Pod).by_index("node", node.metadata.name)]

    async def reconcile(self, key: Key) -> Result | None:
        pod = self.cache(core.Pod).get(key)
        if pod is None:
            return None
        plan = decide(Observed(pod, self._missing_s(pod.spec.node_name)))
        if not plan.delete or await self._node_exists(pod.spec.node_name):
            return Result(plan.wait_s)
        log.info("orphaned pod removed", pod=key, node=pod.spec.node_name)
        with contextlib.suppress(errors.NotFound):
            await self.client.delete(
                core.Pod, key.name, namespace=key.namespace, uid=pod.metadata.uid, grace_period_s=0
            )
        return None

    def _missing_s(self, node_name: str) -> float | None:
        if not node_name or Key("", node_name) in self.cache(core.Node):
            self._missing.pop(node_name, None)
            return None
        now = time.monotonic()
        self._missing = {name: at for name, at in self._missing.items() if Key("", name) not in self.cache(core.Node)}
        return now - self._missing.setdefault(node_name, now)

    async def _node_exists(self, name: str) -> bool:
        if not name:
            return False
        try:
            await self.client.get(core.Node, name)
        except errors.NotFound:
            return False
        return True


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    return (old.spec.node_name, metadata.is_deleting(old)) != (new.spec.node_name, metadata.is_deleting(new))
