"""Charging a quota: in the same transaction as the object, whichever server stores it."""

from __future__ import annotations

import asyncio

import pytest
from raftsman import errors
from raftsman.core import v1 as core

from tests.services.apiserver.cluster import Api


async def a_counted_quota(api: Api, namespace: str, **hard: str) -> core.ResourceQuota:
    """As the controller leaves a new one, nothing being there."""
    quota = core.ResourceQuota()
    quota.metadata.namespace, quota.metadata.name = namespace, "quota"
    for resource, amount in hard.items():
        quota.spec.hard[resource].string = amount
    made: core.ResourceQuota = await api.create(quota)
    for resource, amount in hard.items():
        made.status.hard[resource].string = amount
        made.status.used[resource].string = "0"
    counted: core.ResourceQuota = await api.update_status(made)
    return counted


def a_pod(namespace: str, name: str) -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    return pod


async def test_two_servers_never_exceed_it(api: Api, second: Api, namespace: str) -> None:
    await a_counted_quota(api, namespace, pods="10")
    outcomes = await asyncio.gather(
        *(server.create(a_pod(namespace, f"{name}{n}")) for n in range(15) for name, server in
          (("a", api), ("b", second))),
        return_exceptions=True,
    )  # fmt: skip
    made = [one for one in outcomes if isinstance(one, core.Pod)]
    refused = [one for one in outcomes if isinstance(one, errors.ApiError)]
    assert len(made) + len(refused) == len(outcomes)
    # A server that lost ten races in a row says so; nobody gets more than there is.
    assert all("exceeded quota" in one.message or "try again" in one.message for one in refused)
    quota = await api.get(core.ResourceQuota, "quota", namespace)
    assert int(quota.status.used["pods"].string) == len(made) <= 10
    assert len((await api.list(core.Pod, namespace=namespace)).items) == len(made)


async def test_a_quota_of_a_scope_counts_what_is_in_it(api: Api, namespace: str) -> None:
    quota = await a_counted_quota(api, namespace, pods="0")
    quota.spec.scopes.append("BestEffort")
    await api.delete(core.ResourceQuota, "quota", namespace)
    quota.metadata.ClearField("resource_version")
    quota = await api.create(quota)
    quota.status.hard["pods"].string, quota.status.used["pods"].string = "0", "0"
    await api.update_status(quota)
    with pytest.raises(errors.Forbidden, match="exceeded quota: quota, requested: pods=1, used: pods=0, limited: pod"):
        await api.create(a_pod(namespace, "effortless"))
    pod = a_pod(namespace, "burstable")
    pod.spec.containers[0].resources.requests["cpu"].string = "1m"
    await api.create(pod)


async def test_a_quota_that_was_not_counted_yet_charges_nothing(api: Api, namespace: str) -> None:
    quota = core.ResourceQuota()
    quota.metadata.namespace, quota.metadata.name = namespace, "new"
    quota.spec.hard["pods"].string = "0"
    quota = await api.create(quota)
    await api.create(a_pod(namespace, "web"))
    quota.status.hard["pods"].string = "0"
    await api.update_status(quota)
    with pytest.raises(errors.Forbidden, match="status unknown for quota: new, resources: pods"):
        await api.create(a_pod(namespace, "other"))
