"""Notice nodes that stop reporting, and keep work away from nodes that cannot do it.

Reads Node, the Leases of kube-node-lease and Pod; writes Node.status (conditions to Unknown), Node.spec.taints and the
Ready condition of pods on silent nodes, so that they leave their endpoints. A node is silent when neither its lease nor
its status has changed for GRACE_S by this process's own clock: clocks of nodes are never compared. Who is evicted
because of the taints is `taint_eviction`'s decision.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from raftsman import logs
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.metadata import key_of

from .node_health import Health, Observed, Plan, decide, is_ready, unready_pod

LEASE_NAMESPACE = "kube-node-lease"
log = logs.get(__name__)


@dataclass(slots=True)
class _Heard:
    """The last sign of life and when it was seen here (monotonic)."""

    sign: tuple[object, ...]
    at_s: float


def lease_key(lease: coordination.Lease) -> Key | None:
    return Key("", lease.metadata.name) if lease.metadata.namespace == LEASE_NAMESPACE else None


def pod_node(pod: core.Pod) -> str | None:
    return pod.spec.node_name or None


class NodeLifecycleController(Controller):
    name = "node-lifecycle"
    component = "node-controller"
    watches = (
        Watch(core.Node),
        Watch(coordination.Lease, key=lease_key),
        Watch(core.Pod, key=lambda pod: None, indexers={"node": pod_node}),
    )

    def __init__(self) -> None:
        self._heard: dict[Key, _Heard] = {}
        self._health: dict[Key, Health] = {}

    async def reconcile(self, key: Key) -> Result | None:
        node = self.cache(core.Node).get(key)
        if node is None:
            self._heard.pop(key, None)
            self._health.pop(key, None)
            self._look_at_all()
            return None
        now = datetime.now(UTC)
        plan = decide(Observed(node, self._silent_s(key, node), self._others_heard(key)), now=now)
        self._note(key, node, plan)
        await self._carry_out(node, plan)
        if plan.unready_pods:
            await self._unready_pods(key.name, now)
        return Result(plan.requeue_after_s)

    def _others_heard(self, key: Key) -> bool:
        """By what was decided of them last, which the cache may not show yet."""
        return any(
            self._health[other] is Health.READY if other in self._health else is_ready(node)
            for other, node in ((key_of(node), node) for node in self.cache(core.Node))
            if other != key
        )

    def _silent_s(self, key: Key, node: core.Node) -> float:
        lease = self.cache(coordination.Lease).get(Key(LEASE_NAMESPACE, key.name))
        renewed = (lease.spec.renew_time.seconds, lease.spec.renew_time.nanos) if lease is not None else None
        beats = tuple((c.type, c.status, c.last_heartbeat_time.seconds) for c in node.status.conditions
                      if c.status != "Unknown")  # fmt: skip
        sign = (node.metadata.uid, renewed, beats)
        heard = self._heard.get(key)
        if heard is None or (heard.sign != sign and not _only_silenced(heard.sign, sign)):
            heard = self._heard[key] = _Heard(sign, time.monotonic())
        return time.monotonic() - heard.at_s

    def _note(self, key: Key, node: core.Node, plan: Plan) -> None:
        before = self._health.get(key)
        self._health[key] = plan.health
        if before is plan.health:
            return
        if before is not None or plan.health is not Health.NEW:
            log.info("node health", node=key.name, health=plan.health.value)
        if before is None:
            self.events.normal(node, "RegisteredNode", f"Node {key.name} is known to the node controller")
        elif plan.health is Health.SILENT or plan.health is Health.NOT_READY:
            self.events.warning(node, "NodeNotReady", f"Node {key.name} is {plan.health.value}")
        self._look_at_all()

    def _look_at_all(self) -> None:
        """Whether a node's pods are evicted depends on whether any other is heard of."""
        for key in self.cache(core.Node).keys():  # noqa: SIM118
            if self._health.get(key) in (Health.SILENT, Health.NOT_READY):
                self.queue.add(key)

    async def _carry_out(self, node: core.Node, plan: Plan) -> None:
        if plan.status is not None:
            changed = core.Node(metadata=node.metadata, spec=node.spec, status=plan.status)
            node = await self.client.update_status(changed)
        if plan.taints is not None:
            changed = core.Node()
            changed.CopyFrom(node)
            del changed.spec.taints[:]
            changed.spec.taints.extend(plan.taints)
            await self.client.update(changed)
            log.info(
                "node taints", node=node.metadata.name, taints=",".join(f"{t.key}:{t.effect}" for t in plan.taints)
            )

    async def _unready_pods(self, node_name: str, now: datetime) -> None:
        for pod in self.cache(core.Pod).by_index("node", node_name):
            status = unready_pod(pod, now)
            if status is not None:
                await self.client.update_status(core.Pod(metadata=pod.metadata, spec=pod.spec, status=status))


def _only_silenced(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    """Whether the only difference is that conditions became Unknown, which is our own doing and no sign of life."""
    return before[:2] == after[:2] and set(after[2]) <= set(before[2])  # type: ignore[call-overload]
