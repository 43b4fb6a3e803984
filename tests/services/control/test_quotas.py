"""Quotas on a whole control plane: charged by the API server, recounted by the controller."""

from __future__ import annotations

import asyncio

import pytest
from raftsman import Client, errors
from raftsman.core import v1 as core


def a_quota(namespace: str, name: str = "quota", **hard: str) -> core.ResourceQuota:
    quota = core.ResourceQuota()
    quota.metadata.namespace, quota.metadata.name = namespace, name
    for resource, amount in hard.items():
        quota.spec.hard[resource.replace("__", "/").replace("_", ".")].string = amount
    return quota


def a_pod(namespace: str, name: str, **requests: str) -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    container = pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    for resource, amount in requests.items():
        container.resources.requests[resource].string = amount
    return pod


def used(quota: core.ResourceQuota | None) -> dict[str, str]:
    return {} if quota is None else {name: quota.status.used[name].string for name in quota.status.used}


async def counted(client: Client, quota: core.ResourceQuota, **amounts: str) -> None:
    wanted = {name.replace("__", "/").replace("_", "."): amount for name, amount in amounts.items()}
    await client.wait(
        core.ResourceQuota, quota.metadata.name, lambda found: used(found) == wanted,
        namespace=quota.metadata.namespace, timeout_s=30,
    )  # fmt: skip


async def test_a_quota_is_counted_charged_and_freed(client: Client, namespace: str) -> None:
    await client.create(a_pod(namespace, "before", cpu="100m"))
    quota = await client.create(a_quota(namespace, requests_cpu="1", pods="2"))
    await counted(client, quota, requests_cpu="100m", pods="1")
    await client.create(a_pod(namespace, "within", cpu="900m"))
    await counted(client, quota, requests_cpu="1", pods="2")
    with pytest.raises(errors.Forbidden) as refused:
        await client.create(a_pod(namespace, "more", cpu="1m"))
    assert refused.value.message == (
        'pods "more" is forbidden: exceeded quota: quota, requested: pods=1,requests.cpu=1m, '
        "used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1"
    )
    await client.delete(core.Pod, "within", namespace=namespace)
    await counted(client, quota, requests_cpu="100m", pods="1")
    await client.create(a_pod(namespace, "more", cpu="1m"))


async def test_a_quota_is_never_exceeded_by_many_at_once(client: Client, namespace: str) -> None:
    quota = await client.create(a_quota(namespace, pods="7"))
    await counted(client, quota, pods="0")
    outcomes = await asyncio.gather(
        *(client.create(a_pod(namespace, f"p{n}")) for n in range(30)), return_exceptions=True
    )
    assert sum(isinstance(one, core.Pod) for one in outcomes) == 7
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, errors.Forbidden) and "exceeded quota: quota" in one.message for one in refused)
    await counted(client, quota, pods="7")


async def test_what_was_not_written_is_not_charged(client: Client, namespace: str) -> None:
    quota = await client.create(a_quota(namespace, count__configmaps="3"))
    # The cluster's authority is one of them.
    await counted(client, quota, count__configmaps="1")
    one = core.ConfigMap()
    one.metadata.namespace, one.metadata.name = namespace, "one"
    await client.create(one, dry_run=True)
    await client.create(one)
    with pytest.raises(errors.AlreadyExists):
        await client.create(one)
    found = await client.get(core.ResourceQuota, "quota", namespace=namespace)
    assert used(found) == {"count/configmaps": "2"}


async def test_pods_under_a_quota_state_what_it_counts(client: Client, namespace: str) -> None:
    quota = await client.create(a_quota(namespace, limits_memory="1Gi", cpu="1"))
    await counted(client, quota, limits_memory="0", cpu="0")
    with pytest.raises(errors.Forbidden, match=r"failed quota: quota: must specify cpu for: app; limits\.memory for"):
        await client.create(a_pod(namespace, "bare"))


async def test_a_pod_that_ended_counts_no_more(client: Client, namespace: str) -> None:
    quota = await client.create(a_quota(namespace, pods="1"))
    await counted(client, quota, pods="0")
    pod = await client.create(a_pod(namespace, "job"))
    pod.status.phase = "Succeeded"
    pod.metadata.ClearField("resource_version")  # the scheduler writes too
    await client.update_status(pod)
    await counted(client, quota, pods="0")
    await client.create(a_pod(namespace, "next"))


async def test_services_are_charged_when_they_change(client: Client, namespace: str) -> None:
    quota = await client.create(a_quota(namespace, services="2", services_nodeports="1"))
    await counted(client, quota, services="0", services_nodeports="0")
    service = core.Service()
    service.metadata.namespace, service.metadata.name = namespace, "web"
    for port in (80, 81):
        service.spec.ports.add(name=f"p{port}", port=port)
    made = await client.create(service)
    made.spec.type = "NodePort"
    with pytest.raises(errors.Forbidden, match=r"exceeded quota: quota, requested: services\.nodeports=2, used"):
        await client.update(made)
    del made.spec.ports[1]
    await client.update(made)
    await counted(client, quota, services="1", services_nodeports="1")
