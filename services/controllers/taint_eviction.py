"""Delete pods from nodes whose NoExecute taints they do not tolerate, or no longer.

Reads Pod and Node; writes Pod (delete, gracefully). A pod that tolerates a taint for a number of seconds stays so long,
counted from when the taint was put; several tolerations: the shortest counts. Taints without a time count from when
they were first seen here. A taint that goes away before ends the wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from raftsman import errors, metadata, times
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core
from raftsman.metadata import key_of

from .node_lifecycle import pod_node

NO_EXECUTE = "NoExecute"


@dataclass(frozen=True, slots=True)
class Observed:
    pod: core.Pod
    taints: tuple[core.Taint, ...]
    """The NoExecute taints of its node."""

    seen: datetime
    """When this pod was first seen with such taints."""


@dataclass(frozen=True, slots=True)
class Plan:
    delete: bool = False
    wait_s: float | None = None


def decide(observed: Observed, *, now: datetime) -> Plan:
    if not observed.taints or metadata.is_deleting(observed.pod):
        return Plan()
    waits = [_tolerated_s(taint, observed, now) for taint in observed.taints]
    limited = [wait for wait in waits if wait is not None]
    if not limited:
        return Plan()
    return Plan(delete=True) if min(limited) <= 0 else Plan(wait_s=min(limited))


def _tolerated_s(taint: core.Taint, observed: Observed, now: datetime) -> float | None:
    """How much longer: 0 not at all, None for ever."""
    matching = [t for t in observed.pod.spec.tolerations if tolerates(t, taint)]
    if not matching:
        return 0.0
    limits = [max(t.toleration_seconds, 0) for t in matching if t.HasField("toleration_seconds")]
    if not limits:
        return None
    since = times.to_datetime(taint.time_added) if taint.HasField("time_added") else observed.seen
    return max(min(limits) - (now - since).total_seconds(), 0.0)


def tolerates(toleration: core.Toleration, taint: core.Taint) -> bool:
    """Empty effect: every effect; empty key with Exists: every taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return toleration.operator in ("", "Equal") and (toleration.key, toleration.value) == (taint.key, taint.value)


def no_execute(node: core.Node | None) -> tuple[core.Taint, ...]:
    return tuple(t for t in node.spec.taints if t.effect == NO_EXECUTE) if node is not None else ()


class TaintEvictionController(Controller):
    name = "taint-eviction"
    component = "taint-eviction-controller"
    workers = 4

    def __init__(self) -> None:
        self.watches = (
            Watch(core.Pod, indexers={"node": pod_node}, changed=_pod_matters),
            Watch(core.Node, key=self._pods, changed=lambda old, new: no_execute(old) != no_execute(new)),
        )
        self._seen: dict[Key, datetime] = {}

    def _pods(self, node: core.Node) -> Iterable[Key]:
        return [key_of(pod) for pod in self.cache(core.Pod).by_index("node", node.metadata.name)]

    async def reconcile(self, key: Key) -> Result | None:
        pod = self.cache(core.Pod).get(key)
        node = self.cache(core.Node).get(Key("", pod.spec.node_name)) if pod is not None else None
        taints = no_execute(node)
        if pod is None or not taints:
            self._seen.pop(key, None)
            return None
        now = datetime.now(UTC)
        seen = self._seen.setdefault(key, now)
        plan = decide(Observed(pod, taints, seen), now=now)
        if plan.delete:
            self.events.normal(
                pod, "TaintManagerEviction", f"Evicting pod {key}: it does not tolerate its node's taints"
            )
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(core.Pod, key.name, namespace=key.namespace, uid=pod.metadata.uid)
        return Result(plan.wait_s)


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    return (old.spec.node_name, metadata.is_deleting(old)) != (new.spec.node_name, metadata.is_deleting(new)) or list(
        old.spec.tolerations
    ) != list(new.spec.tolerations)
