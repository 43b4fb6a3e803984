"""Keep as many pods as a ReplicaSet asks for.

Reads ReplicaSet and Pod; writes Pod (create, delete, adopt, release) and ReplicaSet.status. A run with nothing to do
makes no call. At most BURST_MAX pods are created or deleted per run, in batches that begin with one and double up to
BATCH_MAX, so that what is going to be refused (by a quota, say) is tried once and not a hundred times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raftsman import Client, EventType, PatchType, errors, metadata, selectors
from raftsman.apps import v1 as apps
from raftsman.controller import Controller, Result, Watch, controller_owner_key
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.metadata import Key

from .ownership import CONTROLLER, adopted, controller_uid, released
from .replica_set_expectations import Expectations
from .replica_set_plan import BURST_MAX, Observed, Plan, decide
from .replica_set_pods import is_active, is_ready
from .replica_set_status import Failure, note_failure

__all__ = ["BATCH_MAX", "BURST_MAX", "Observed", "Plan", "ReplicaSetController", "decide", "new_pod"]

BATCH_MAX = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan: pods that were made, and the first failure."""

    made: int = 0
    error: errors.ApiError | None = None


def new_pod(replica_set: apps.ReplicaSet) -> core.Pod:
    """A pod as the template says, to be named by the server, owned by the ReplicaSet."""
    template = replica_set.spec.template
    pod = core.Pod(spec=template.spec)
    pod.metadata.generate_name = f"{replica_set.metadata.name}-"
    pod.metadata.namespace = replica_set.metadata.namespace
    pod.metadata.labels.update(template.metadata.labels)
    pod.metadata.annotations.update(template.metadata.annotations)
    pod.metadata.finalizers.extend(template.metadata.finalizers)
    pod.metadata.owner_references.append(metadata.owner_reference(replica_set))
    return pod


class ReplicaSetController(Controller):
    name = "replicaset"
    workers = 4

    def attach(self, client: Client, informers: Informers) -> None:
        self._expectations = Expectations()
        indexers = {CONTROLLER: controller_uid}
        self.watches = (
            Watch(apps.ReplicaSet, indexers=indexers),
            Watch(core.Pod, key=self._keys_of_pod, changed=_pod_matters, indexers=indexers),
        )
        informers.get(core.Pod, indexers=indexers).add_handler(self._saw)
        super().attach(client, informers)

    def _keys_of_pod(self, pod: core.Pod) -> Key | Iterable[Key] | None:
        """Its ReplicaSet; a pod that nobody owns concerns every ReplicaSet of the namespace that may adopt it."""
        if metadata.controller_of(pod) is not None:
            return _owner_key(pod)
        if not is_active(pod):
            return None
        return [
            metadata.key_of(rs) for rs in self.cache(apps.ReplicaSet).list(pod.metadata.namespace) if _fits(rs, pod)
        ]

    def _saw(self, kind: EventType, old: core.Pod | None, new: core.Pod | None) -> None:
        """The cache shows a pod of ours that was made or lost."""
        pod = new if new is not None else old
        key = _owner_key(pod)
        if not isinstance(key, Key) or pod is None:
            return
        if kind is EventType.ADDED:
            self._expectations.saw_creation(key)
        if kind is EventType.DELETED or metadata.is_deleting(pod):
            self._expectations.saw_deletion(key, pod.metadata.uid)

    async def reconcile(self, key: Key) -> Result:
        replica_set = self.cache(apps.ReplicaSet).get(key)
        if replica_set is None:
            self._expectations.forget(key)
            return Result()
        now = datetime.now(UTC)
        plan = decide(self._observe(replica_set), now=now)
        await self._claim(replica_set, plan)
        outcome = await self._bring_about(replica_set, plan)
        if plan.status is not None:
            await self._write_status(replica_set, _status_after(plan, outcome, replica_set.status, now=now))
        if outcome.error is not None:
            raise outcome.error
        return Result(plan.requeue_after_s)

    def _observe(self, replica_set: apps.ReplicaSet) -> Observed:
        pods = self.cache(core.Pod)
        owned = pods.by_index(CONTROLLER, replica_set.metadata.uid)
        orphans = pods.by_index(CONTROLLER, f"{replica_set.metadata.namespace}/")
        settled = self._expectations.settled(metadata.key_of(replica_set), now=time.monotonic())
        return Observed(replica_set, (*owned, *orphans), tuple(self._siblings(replica_set)), settled)

    def _siblings(self, replica_set: apps.ReplicaSet) -> Iterable[core.Pod]:
        owner = metadata.controller_of(replica_set)
        if owner is None:
            return
        for sibling in self.cache(apps.ReplicaSet).by_index(CONTROLLER, owner.uid):
            if sibling.metadata.uid != replica_set.metadata.uid:
                yield from self.cache(core.Pod).by_index(CONTROLLER, sibling.metadata.uid)

    async def _claim(self, replica_set: apps.ReplicaSet, plan: Plan) -> None:
        if plan.adopt:
            await self._check_alive(replica_set)
        for pod in plan.adopt:
            await self._patch(pod, adopted(pod, replica_set))
        for pod in plan.release:
            await self._patch(pod, released(pod, replica_set))

    async def _check_alive(self, replica_set: apps.ReplicaSet) -> None:
        """Adopt only for the ReplicaSet that there is, not for one of the same name that the cache still shows."""
        name, namespace = replica_set.metadata.name, replica_set.metadata.namespace
        fresh = await self.client.get(apps.ReplicaSet, name, namespace=namespace)
        if fresh.metadata.uid != replica_set.metadata.uid or metadata.is_deleting(fresh):
            raise errors.Conflict(f"replica set {namespace}/{name} is gone or on its way out: it adopts nothing")

    async def _patch(self, pod: core.Pod, patch: dict[str, Any]) -> None:
        name, namespace = pod.metadata.name, pod.metadata.namespace
        try:
            await self.client.patch(core.Pod, name, patch, namespace=namespace, type=PatchType.STRATEGIC)
        except errors.NotFound:
            return

    async def _bring_about(self, replica_set: apps.ReplicaSet, plan: Plan) -> Outcome:
        try:
            if plan.create:
                return await self._create(replica_set, plan.create)
            if plan.delete:
                return await self._delete(replica_set, plan.delete)
        except BaseException:
            self._expectations.forget(metadata.key_of(replica_set))
            raise
        return Outcome()

    async def _create(self, replica_set: apps.ReplicaSet, count: int) -> Outcome:
        """Batches of 1, 2, 4 … BATCH_MAX; the first that fails is the last that is tried."""
        key = metadata.key_of(replica_set)
        self._expectations.expect_creations(key, count, now=time.monotonic())
        batch, left = 1, count
        while left:
            size = min(batch, left)
            outcomes = await asyncio.gather(*(self._create_one(replica_set) for _ in range(size)))
            failed = [error for error in outcomes if error is not None]
            left -= size
            if failed:
                missing = left + len(failed)
                self._expectations.expect_creations(key, -missing, now=time.monotonic())
                return Outcome(count - missing, None if _is_terminating(failed[0]) else failed[0])
            batch = min(batch * 2, BATCH_MAX)
        return Outcome(count)

    async def _create_one(self, replica_set: apps.ReplicaSet) -> errors.ApiError | None:
        try:
            pod = await self.client.create(new_pod(replica_set))
        except errors.ApiError as error:
            if not _is_terminating(error):
                self.events.warning(replica_set, "FailedCreate", f"Error creating: {error.message}")
            return error
        self.events.normal(replica_set, "SuccessfulCreate", f"Created pod: {pod.metadata.name}")
        return None

    async def _delete(self, replica_set: apps.ReplicaSet, pods: tuple[core.Pod, ...]) -> Outcome:
        key = metadata.key_of(replica_set)
        self._expectations.expect_deletions(key, (pod.metadata.uid for pod in pods), now=time.monotonic())
        failed = []
        for start in range(0, len(pods), BATCH_MAX):
            batch = pods[start : start + BATCH_MAX]
            outcomes = await asyncio.gather(*(self._delete_one(replica_set, pod) for pod in batch))
            failed += [error for error in outcomes if error is not None]
        return Outcome(error=failed[0] if failed else None)

    async def _delete_one(self, replica_set: apps.ReplicaSet, pod: core.Pod) -> errors.ApiError | None:
        name, namespace, uid = pod.metadata.name, pod.metadata.namespace, pod.metadata.uid
        key = metadata.key_of(replica_set)
        try:
            await self.client.delete(core.Pod, name, namespace=namespace, uid=uid)
        except (errors.NotFound, errors.Conflict):
            self._expectations.saw_deletion(key, uid)
            return None
        except errors.ApiError as error:
            self._expectations.saw_deletion(key, uid)
            self.events.warning(replica_set, "FailedDelete", f"Error deleting: {error.message}")
            return error
        self.events.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")
        return None

    async def _write_status(self, replica_set: apps.ReplicaSet, status: apps.ReplicaSetStatus) -> None:
        if status == replica_set.status:
            return
        fresh = apps.ReplicaSet()
        fresh.CopyFrom(replica_set)
        fresh.status.CopyFrom(status)
        await self.client.update_status(fresh)


_owner_key = controller_owner_key("ReplicaSet")


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    """Whether it may count differently now; most changes of a pod's status are none of a ReplicaSet's business."""
    return (
        is_active(old) != is_active(new)
        or is_ready(old) != is_ready(new)
        or old.metadata.uid != new.metadata.uid
        or old.metadata.labels != new.metadata.labels
        or old.metadata.owner_references != new.metadata.owner_references
    )


def _fits(replica_set: apps.ReplicaSet, pod: core.Pod) -> bool:
    return selectors.from_label_selector(replica_set.spec.selector).matches(pod.metadata.labels)


def _is_terminating(error: errors.ApiError) -> bool:
    """The namespace is on its way out: nothing can be made in it, and nothing is wrong with the template."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


def _status_after(
    plan: Plan, outcome: Outcome, stored: apps.ReplicaSetStatus, *, now: datetime
) -> apps.ReplicaSetStatus:
    """The plan's status and what has been made since. Pods that could not be deleted are counted by the next run."""
    assert plan.status is not None
    status = apps.ReplicaSetStatus()
    status.CopyFrom(stored if plan.delete and outcome.error is not None else plan.status)
    status.replicas += outcome.made
    status.fully_labeled_replicas += outcome.made
    if plan.managed:
        failure = Failure("FailedCreate" if plan.create else "FailedDelete", str(outcome.error))
        note_failure(status, failure if outcome.error is not None else None, now=now)
    return status
