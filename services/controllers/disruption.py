"""Say for every disruption budget how many of its pods may be evicted now.

Reads PodDisruptionBudget, Pod, and the scale of the pods' controllers; writes PodDisruptionBudget.status. What is
decided and why stands in `disruption_plan`. A run with nothing to change makes no write. Budgets that cannot be decided
upon allow nothing and say why in their condition.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from raftsman import errors, metadata, resources, selectors
from raftsman.apps import v1 as apps
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.metadata import key_of
from raftsman.policy import v1 as policy

from . import disruption_plan
from .disruption_plan import Observed

# How often budgets are looked at whose pods' controllers are not watched here.
RESYNC_S = 300.0
NAMESPACE = "namespace"


def _namespace(obj: policy.PodDisruptionBudget | core.Pod) -> str:
    return obj.metadata.namespace


class DisruptionController(Controller):
    name = "disruption"
    component = "controllermanager"
    workers = 2

    def __init__(self) -> None:
        self.watches = (
            Watch(policy.PodDisruptionBudget, changed=_budget_matters, indexers={NAMESPACE: _namespace}),
            Watch(core.Pod, key=self._budgets, changed=_pod_matters, indexers={NAMESPACE: _namespace}),
            Watch(apps.ReplicaSet, key=self._of_controller, changed=_scale_matters),
            Watch(apps.Deployment, key=self._of_controller, changed=_scale_matters),
        )

    def _budgets(self, pod: core.Pod) -> Iterable[Key]:
        inside = self.cache(policy.PodDisruptionBudget).by_index(NAMESPACE, pod.metadata.namespace)
        return [key_of(budget) for budget in inside if _selects(budget, pod)]

    def _of_controller(self, controller: apps.ReplicaSet | apps.Deployment) -> Iterable[Key]:
        inside = self.cache(policy.PodDisruptionBudget).by_index(NAMESPACE, controller.metadata.namespace)
        labels = controller.spec.template.metadata.labels
        return [key_of(one) for one in inside if selectors.from_label_selector(one.spec.selector).matches(labels)]

    async def reconcile(self, key: Key) -> Result | None:
        budget = self.cache(policy.PodDisruptionBudget).get(key)
        if budget is None:
            return None
        pods = [pod for pod in self.cache(core.Pod).by_index(NAMESPACE, key.namespace) if _selects(budget, pod)]
        now = time.time()
        try:
            scales, unmanaged = await self._scales(budget, pods)
        except errors.ApiError as error:
            await self._write(budget, disruption_plan.failed(budget, error.message, now=now))
            raise
        if unmanaged:
            selector = selectors.from_label_selector(budget.spec.selector)
            why = f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged: "
            self.events.warning(budget, "UnmanagedPods", why + ", ".join(unmanaged))
        plan = disruption_plan.decide(Observed(budget, pods, scales, unmanaged), now=now)
        if plan.status is not None:
            await self._write(budget, plan.status)
        return Result(min(plan.look_again_s or RESYNC_S, RESYNC_S))

    async def _write(self, budget: policy.PodDisruptionBudget, status: policy.PodDisruptionBudgetStatus) -> None:
        changed = policy.PodDisruptionBudget()
        changed.CopyFrom(budget)
        changed.status.CopyFrom(status)
        await self.client.update_status(changed)

    async def _scales(
        self, budget: policy.PodDisruptionBudget, pods: Sequence[core.Pod]
    ) -> tuple[dict[str, int], list[str]]:
        """How many pods each controller wants, by its uid, and the pods that have none."""
        found: dict[str, int] = {}
        unmanaged = []
        if not disruption_plan.needs_scales(budget):
            return {}, []
        for pod in pods:
            owner = metadata.controller_of(pod)
            if owner is None:
                unmanaged.append(pod.metadata.name)
            elif owner.uid not in found:
                uid, wanted = await self._scale(pod.metadata.namespace, owner)
                found[uid] = wanted
        return found, unmanaged

    async def _scale(self, namespace: str, owner: meta.OwnerReference) -> tuple[str, int]:
        """A controller's own uid, or that of the Deployment behind a ReplicaSet, and how many pods that wants."""
        if owner.kind == "ReplicaSet" and owner.api_version.startswith("apps/"):
            replica_set = self.cache(apps.ReplicaSet).get(Key(namespace, owner.name))
            behind = metadata.controller_of(replica_set) if replica_set is not None else None
            if behind is not None and behind.kind == "Deployment":
                deployment = self.cache(apps.Deployment).get(Key(namespace, behind.name))
                if deployment is not None:
                    return behind.uid, deployment.spec.replicas
            if replica_set is not None:
                return owner.uid, replica_set.spec.replicas
        resource = resources.by_kind(owner.api_version, owner.kind)
        if resource is None or "scale" not in {part.name for part in resource.facts.subresources}:
            raise errors.BadRequest(f"{owner.kind} {owner.name} has no scale: how many pods should there be?")
        scale = await self.client.get_scale(resource.message, owner.name, namespace=namespace)
        return owner.uid, scale.spec.replicas


def _selects(budget: policy.PodDisruptionBudget, pod: core.Pod) -> bool:
    if not budget.spec.HasField("selector"):
        return False
    return selectors.from_label_selector(budget.spec.selector).matches(pod.metadata.labels)


def _budget_matters(old: policy.PodDisruptionBudget, new: policy.PodDisruptionBudget) -> bool:
    """An eviction changes the status, and so may a user."""
    return old.metadata.generation != new.metadata.generation or old.status != new.status


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    return _facts(old) != _facts(new)


def _facts(pod: core.Pod) -> tuple[object, ...]:
    ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)
    return dict(pod.metadata.labels), ready, metadata.is_deleting(pod), pod.metadata.uid


def _scale_matters(old: apps.ReplicaSet | apps.Deployment, new: apps.ReplicaSet | apps.Deployment) -> bool:
    return old.spec.replicas != new.spec.replicas
