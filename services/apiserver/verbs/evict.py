"""Evict: delete a pod if its disruption budget lets it go, and count that against the budget first.

The budget's status, which its controller keeps, says how many pods may go; each eviction takes one and notes the pod
there, so that the controller does not count it as healthy any more. Pods that have ended, were never started or are
being deleted go without asking; so do pods that are not ready, if the budget has enough others or says so
(`unhealthyPodEvictionPolicy`).
"""

from __future__ import annotations

import time

from raftsman import errors, selectors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.watchcache import selection as selections
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import delete, read

BUDGETS = "poddisruptionbudgets.policy"
DISRUPTED_MAX = 2000
# For a budget whose status is about an older specification.
RETRY_AFTER_S = 10
_AT_WILL = ("Pending", "Succeeded", "Failed")


async def evict(api: Api, call: Call, raw: bytes) -> bytes:
    """errors.TooManyRequests (429, cause DisruptionBudget) if the budget does not allow it."""
    request = policy.EvictRequest.FromString(raw)
    eviction = request.eviction
    namespace, name = request.namespace or eviction.metadata.namespace, eviction.metadata.name
    api.allow(call.user, "create", call.kind, namespace=namespace, name=name, subresource="eviction")
    namespace = read.namespace_of(call.kind, namespace, name)
    options = eviction.delete_options
    delete.check(options)
    call.dry_run = "All" in options.dry_run
    await chain.admit(api, call, Operation.CREATE, namespace=namespace, name=name, new=eviction, subresource="eviction")
    found = await read.fetch(api, call.kind, meta.GetRequest(namespace=namespace, name=name))
    pod: core.Pod = found.parsed()
    if not _goes_at_will(pod):
        await _charge(api, call, pod, options)
    options.preconditions.uid = options.preconditions.uid or pod.metadata.uid
    await delete.delete_one(api, call, namespace, name, options)
    return policy.EvictResponse().SerializeToString()


def _goes_at_will(pod: core.Pod) -> bool:
    return pod.status.phase in _AT_WILL or pod.metadata.HasField("deletion_timestamp")


async def _charge(api: Api, call: Call, pod: core.Pod, options: meta.DeleteOptions) -> None:
    """Take the pod from its budget, if it has one."""
    wanted = options.preconditions
    if wanted.uid and wanted.uid != pod.metadata.uid:
        why = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {pod.metadata.uid}"
        raise failures.conflict(call.kind.resource, pod.metadata.name, why)
    kind = api.kinds[BUDGETS]
    budgets = await _budgets(api, kind, pod)
    if not budgets:
        return
    if len(budgets) > 1:
        raise errors.InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )

    async def change(found: CachedObject) -> Change:
        budget: policy.PodDisruptionBudget = found.parsed()
        if not _unhealthy_goes(budget, pod):
            take(kind, budget, pod.metadata.name, now=time.time())
        return Change(budget)

    name, namespace = budgets[0].metadata.name, pod.metadata.namespace
    await api.objects.update(kind, name, change, namespace=namespace, dry_run=call.dry_run)


async def _budgets(api: Api, kind: Kind, pod: core.Pod) -> list[policy.PodDisruptionBudget]:
    await api.feed.fresh()
    inside = selections.parse(kind, pod.metadata.namespace, label_selector="", field_selector="")
    every = (one.parsed() for one in api.cache(kind).select(inside))
    return [one for one in every if one.spec.HasField("selector")
            and selectors.from_label_selector(one.spec.selector).matches(pod.metadata.labels)]  # fmt: skip


def _unhealthy_goes(budget: policy.PodDisruptionBudget, pod: core.Pod) -> bool:
    """Whether the pod is not ready and may go for that."""
    if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions):
        return False
    if budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow":
        return True
    return 0 < budget.status.desired_healthy <= budget.status.current_healthy


def take(kind: Kind, budget: policy.PodDisruptionBudget, pod: str, *, now: float) -> None:
    """One pod less may go, and this one is going. errors.TooManyRequests or Forbidden if it may not."""
    name, status = budget.metadata.name, budget.status
    if status.observed_generation < budget.metadata.generation:
        why = f"The disruption budget {name} is still being processed by the server."
        raise _not_now(why, retry_after_s=RETRY_AFTER_S)
    if len(status.disrupted_pods) > DISRUPTED_MAX:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise failures.forbidden(kind.resource, name, why)
    if status.disruptions_allowed < 0:
        raise failures.forbidden(kind.resource, name, "pdb disruptions allowed is negative")
    if not status.disruptions_allowed:
        raise _not_now(_why_none(budget))
    status.disruptions_allowed -= 1
    status.disrupted_pods[pod].seconds = int(now)
    if not status.disruptions_allowed:
        for condition in status.conditions:
            if condition.type == "DisruptionAllowed" and condition.status == "True":
                condition.status, condition.reason, condition.message = "False", "InsufficientPods", ""
                condition.last_transition_time.CopyFrom(meta.Time(seconds=int(now)))


def _why_none(budget: policy.PodDisruptionBudget) -> str:
    every = budget.status.conditions
    failed = next((one for one in every if one.reason == "SyncFailed" and one.status == "False"), None)
    if failed is not None:
        return f"The disruption budget {budget.metadata.name} does not allow evicting pods currently: {failed.message}"
    status = budget.status
    return (
        f"The disruption budget {budget.metadata.name} needs {status.desired_healthy} healthy pods "
        f"and has {status.current_healthy} currently"
    )


def _not_now(why: str, *, retry_after_s: int = 0) -> errors.ApiError:
    error = errors.TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.")
    error.status.details.causes.add(reason="DisruptionBudget", message=why)
    error.status.details.retry_after_seconds = retry_after_s
    return error
