"""Evictions keep to disruption budgets, over gRPC and REST."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.policy import v1 as policy

from .cluster import Api, ApiServerProcess
from .rest import Rest
from .test_objects import a_pod


def a_budget(namespace: str, name: str = "b", *, app: str = "web") -> policy.PodDisruptionBudget:
    budget = policy.PodDisruptionBudget()
    budget.metadata.name, budget.metadata.namespace = name, namespace
    budget.spec.min_available.int_val = 1
    budget.spec.selector.match_labels["app"] = app
    return budget


async def pod(api: Api, namespace: str, *, phase: str = "Running", ready: bool = True) -> core.Pod:
    made = a_pod(namespace)
    made.metadata.labels["app"] = "web"
    stored = await api.create(made)
    stored.status.phase = phase
    stored.status.conditions.add(type="Ready", status=str(ready))
    return await api.update_status(stored)


async def budget(api: Api, namespace: str, **status: Any) -> policy.PodDisruptionBudget:
    stored = await api.create(a_budget(namespace))
    for field, value in {"observed_generation": stored.metadata.generation, **status}.items():
        setattr(stored.status, field, value)
    return await api.update_status(stored)


async def evict(api: Api, namespace: str, *, dry_run: bool = False, uid: str = "") -> None:
    request = policy.EvictRequest(namespace=namespace)
    request.eviction.metadata.name = "web"
    if dry_run:
        request.eviction.delete_options.dry_run.append("All")
    if uid:
        request.eviction.delete_options.preconditions.uid = uid
    await api.of(core.Pod, "Evict", request, policy.EvictResponse)


async def test_a_pod_without_a_budget_goes(api: Api, namespace: str) -> None:
    await pod(api, namespace)
    await evict(api, namespace, dry_run=True)
    assert await api.get(core.Pod, "web", namespace)
    with pytest.raises(errors.Conflict, match="UID in precondition"):
        await evict(api, namespace, uid="other")
    await evict(api, namespace)
    with pytest.raises(errors.NotFound):
        await api.get(core.Pod, "web", namespace)


async def test_an_eviction_is_taken_from_the_budget(api: Api, namespace: str) -> None:
    await pod(api, namespace)
    await budget(api, namespace, disruptions_allowed=1)
    await evict(api, namespace, dry_run=True)
    assert (await api.get(policy.PodDisruptionBudget, "b", namespace)).status.disruptions_allowed == 1
    await evict(api, namespace)
    status = (await api.get(policy.PodDisruptionBudget, "b", namespace)).status
    assert status.disruptions_allowed == 0
    assert list(status.disrupted_pods) == ["web"]


@pytest.mark.parametrize(
    ("status", "why", "retry_s"),
    [
        ({"disruptions_allowed": 0, "desired_healthy": 2, "current_healthy": 1}, "needs 2 healthy pods and has 1", 0),
        ({"disruptions_allowed": 9, "observed_generation": 0}, "still being processed", 10),
    ],
)
async def test_a_budget_that_allows_none_is_told_with_its_cause(
    server: ApiServerProcess, api: Api, namespace: str, status: dict[str, int], why: str, retry_s: int
) -> None:
    await pod(api, namespace)
    await budget(api, namespace, **status)
    with pytest.raises(errors.TooManyRequests, match="would violate the pod's disruption budget") as refused:
        await evict(api, namespace)
    (cause,) = refused.value.status.details.causes
    assert cause.reason == "DisruptionBudget"
    assert why in cause.message
    rest = Rest(server)
    path = f"/api/v1/namespaces/{namespace}/pods/web/eviction"
    body = b'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web"}}'
    code, headers, _ = rest.raw("POST", path, body=body)
    assert (code, headers.get("retry-after", "0")) == (429, str(retry_s))
    code, answer = rest.json("POST", path, {"metadata": {"name": "other"}})
    assert (code, answer["message"]) == (400, "name in URL does not match name in Eviction object")
    rest.close()


async def test_unhealthy_pods_go_when_the_budget_has_enough_or_does_not_care(api: Api, namespace: str) -> None:
    await pod(api, namespace, ready=False)
    stored = await budget(api, namespace, disruptions_allowed=0, desired_healthy=2, current_healthy=1)
    with pytest.raises(errors.TooManyRequests):
        await evict(api, namespace)
    stored.spec.unhealthy_pod_eviction_policy = "AlwaysAllow"
    await api.update(stored)
    await evict(api, namespace)


async def test_two_budgets_for_one_pod_are_an_error_and_an_ended_pod_asks_none(api: Api, namespace: str) -> None:
    running = await pod(api, namespace)
    await budget(api, namespace, disruptions_allowed=0)
    await api.create(a_budget(namespace, "c"))
    with pytest.raises(errors.InternalError, match="more than one PodDisruptionBudget"):
        await evict(api, namespace)
    running.status.phase = "Failed"
    await api.update_status(running)
    await evict(api, namespace)
