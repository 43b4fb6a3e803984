"""Keep a Deployment's pods at its newest template, through ReplicaSets.

Reads Deployment, ReplicaSet and Pod; writes ReplicaSet (create, update, delete), the Deployment's revision annotation
and Deployment.status. A run with nothing to do makes no call. Each run makes one step of a rollout, and what that leads
to brings the next run; every write names the revision that it was decided from, so that a stale cache costs a conflict
and a second look, never a wrong size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from raftsman import Client, PatchType, errors, logs, metadata
from raftsman.apps import v1 as apps
from raftsman.controller import Controller, Keys, Result, Watch, controller_owner_key
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.metadata import Key

from . import deployment_revisions as revisions
from . import deployment_status as statuses
from .deployment_plan import Observed, Plan, decide
from .ownership import CONTROLLER, adopted, controller_uid, released
from .replica_set_pods import is_finished

log = logs.get(__name__)


class DeploymentController(Controller):
    name = "deployment"
    workers = 2

    def attach(self, client: Client, informers: Informers) -> None:
        indexers = {CONTROLLER: controller_uid}
        self.watches = (
            Watch(apps.Deployment),
            Watch(apps.ReplicaSet, key=self._keys_of_replica_set, indexers=indexers),
            Watch(core.Pod, key=self._key_of_pod, changed=_pod_matters, indexers=indexers),
        )
        super().attach(client, informers)

    def _keys_of_replica_set(self, rs: apps.ReplicaSet) -> Key | Iterable[Key] | None:
        """Its Deployment; one that nobody owns concerns every Deployment of the namespace that may adopt it."""
        if metadata.controller_of(rs) is not None:
            return _owner_key(rs)
        return [metadata.key_of(found) for found in self.cache(apps.Deployment).list(rs.metadata.namespace)]

    def _key_of_pod(self, pod: core.Pod) -> Key | None:
        """Recreate waits for the last old pod; nobody else has to hear of pods, ReplicaSets count them."""
        owner = metadata.controller_of(pod)
        rs = self.cache(apps.ReplicaSet).get(Key(pod.metadata.namespace, owner.name)) if owner is not None else None
        deployment = _owner_key(rs) if rs is not None else None
        found = self.cache(apps.Deployment).get(deployment) if isinstance(deployment, Key) else None
        return metadata.key_of(found) if found is not None and found.spec.strategy.type == "Recreate" else None

    async def reconcile(self, key: Key) -> Result:
        deployment = self.cache(apps.Deployment).get(key)
        if deployment is None:
            return Result()
        now = datetime.now(UTC)
        plan = decide(self._observe(deployment), now=now)
        if plan.adopt or plan.release:
            await self._claim(deployment, plan)
            return Result()
        for rs in plan.change:
            await self._change(deployment, rs)
        if plan.create is not None:
            await self._create(deployment, plan, now=now)
        deployment = await self._note_revision(deployment, plan.revision)
        if plan.status is not None:
            await self._write_status(deployment, plan.status)
        for rs in plan.delete:
            await self._delete(rs)
        return Result(plan.requeue_after_s)

    def _observe(self, deployment: apps.Deployment) -> Observed:
        cache = self.cache(apps.ReplicaSet)
        owned = cache.by_index(CONTROLLER, deployment.metadata.uid)
        orphans = cache.by_index(CONTROLLER, f"{deployment.metadata.namespace}/")
        pods = self._pods(owned) if deployment.spec.strategy.type == "Recreate" else {}
        return Observed(deployment, (*owned, *orphans), pods)

    def _pods(self, replica_sets: Iterable[apps.ReplicaSet]) -> dict[str, int]:
        cache = self.cache(core.Pod)
        found: Counter[str] = Counter()
        for rs in replica_sets:
            pods = cache.by_index(CONTROLLER, rs.metadata.uid)
            found[rs.metadata.uid] = sum(not is_finished(pod) for pod in pods)
        return found

    async def _claim(self, deployment: apps.Deployment, plan: Plan) -> None:
        """Take in and let go; the watch then shows them as they are, and the next run goes on from there."""
        if plan.adopt:
            await self._check_alive(deployment)
        for rs in (*plan.adopt, *plan.release):
            patch = adopted(rs, deployment) if rs in plan.adopt else released(rs, deployment)
            name, namespace = rs.metadata.name, rs.metadata.namespace
            await self.client.patch(apps.ReplicaSet, name, patch, namespace=namespace, type=PatchType.STRATEGIC)

    async def _check_alive(self, deployment: apps.Deployment) -> None:
        """Adopt only for the Deployment that there is, not for one of the same name that the cache still shows."""
        name, namespace = deployment.metadata.name, deployment.metadata.namespace
        fresh = await self.client.get(apps.Deployment, name, namespace=namespace)
        if fresh.metadata.uid != deployment.metadata.uid or metadata.is_deleting(fresh):
            raise errors.Conflict(f"deployment {namespace}/{name} is gone or on its way out: it adopts nothing")

    async def _change(self, deployment: apps.Deployment, rs: apps.ReplicaSet) -> None:
        before = self.cache(apps.ReplicaSet).get(metadata.key_of(rs))
        await self.client.update(rs)
        if before is not None and before.spec.replicas != rs.spec.replicas:
            self._scaled(deployment, rs.metadata.name, before.spec.replicas, rs.spec.replicas)

    def _scaled(self, deployment: apps.Deployment, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self.events.normal(deployment, "ScalingReplicaSet", message)

    async def _create(self, deployment: apps.Deployment, plan: Plan, *, now: datetime) -> None:
        new = plan.create
        assert new is not None
        try:
            await self.client.create(new)
        except errors.AlreadyExists:
            await self._resolve_collision(deployment, new)
            return
        except errors.Forbidden as error:
            if any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                return
            await self._report_failure(deployment, plan, error, now=now)
            raise
        except errors.ApiError as error:
            await self._report_failure(deployment, plan, error, now=now)
            raise
        if new.spec.replicas:
            self._scaled(deployment, new.metadata.name, 0, new.spec.replicas)

    async def _resolve_collision(self, deployment: apps.Deployment, new: apps.ReplicaSet) -> None:
        """The name is taken: by what an earlier run made and the cache does not show yet, or by something else."""
        name, namespace = new.metadata.name, new.metadata.namespace
        taken = await self.client.get(apps.ReplicaSet, name, namespace=namespace)
        if metadata.is_controlled_by(taken, deployment) and revisions.find_new(deployment, [taken]) is not None:
            return
        status = apps.DeploymentStatus()
        status.CopyFrom(deployment.status)
        status.collision_count += 1
        log.warning(
            "name of a replica set is taken, another hash is used", deployment=metadata.key_of(deployment), name=name
        )
        await self._write_status(deployment, status)
        raise errors.Conflict(f"replica set {namespace}/{name} is not of this deployment: another name is tried")

    async def _report_failure(
        self, deployment: apps.Deployment, plan: Plan, error: errors.ApiError, *, now: datetime
    ) -> None:
        assert plan.create is not None
        assert plan.status is not None
        self.events.warning(deployment, statuses.NOT_CREATED, f"Failed to create new replica set: {error.message}")
        statuses.note_not_created(plan.status, plan.create.metadata.name, why=error.message, now=now)
        await self._write_status(deployment, plan.status)

    async def _note_revision(self, deployment: apps.Deployment, revision: int) -> apps.Deployment:
        """The Deployment with its revision annotated, as it is stored then."""
        if not revision or revisions.revision_of(deployment) == revision:
            return deployment
        annotated = apps.Deployment()
        annotated.CopyFrom(deployment)
        annotated.metadata.annotations[revisions.REVISION] = str(revision)
        return await self.client.update(annotated)

    async def _write_status(self, deployment: apps.Deployment, status: apps.DeploymentStatus) -> None:
        if status == deployment.status:
            return
        fresh = apps.Deployment()
        fresh.CopyFrom(deployment)
        fresh.status.CopyFrom(status)
        await self.client.update_status(fresh)

    async def _delete(self, rs: apps.ReplicaSet) -> None:
        """An old revision that nobody needs: only this very one, and only as it was when that was decided."""
        try:
            await self.client.delete(
                apps.ReplicaSet,
                rs.metadata.name,
                namespace=rs.metadata.namespace,
                uid=rs.metadata.uid,
                resource_version=rs.metadata.resource_version,
            )
        except errors.NotFound:
            return


_owner_key: Keys = controller_owner_key("Deployment")


def _pod_matters(old: core.Pod, new: core.Pod) -> bool:
    return is_finished(old) != is_finished(new)
