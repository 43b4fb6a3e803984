"""Priority classes, and the numbers that pods get from them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.scheduling import v1 as scheduling

from tests.services.apiserver.cluster import Api


def a_class(value: int, *, default: bool = False, policy: str = "") -> scheduling.PriorityClass:
    made = scheduling.PriorityClass(value=value, global_default=default)
    made.metadata.name = f"class-{secrets.token_hex(4)}"
    if policy:
        made.preemption_policy = policy
    return made


@contextlib.asynccontextmanager
async def the_default(api: Api, value: int) -> AsyncIterator[scheduling.PriorityClass]:
    """All tests share a cluster: nothing but this test may have a default class."""
    made = await api.create(a_class(value, default=True))
    try:
        yield made
    finally:
        await api.delete(scheduling.PriorityClass, made.metadata.name)


def a_pod(namespace: str, name: str = "web", class_name: str = "") -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    if class_name:
        pod.spec.priority_class_name = class_name
    return pod


async def test_a_pod_gets_the_number_and_the_policy_of_its_class(api: Api, namespace: str) -> None:
    made = await api.create(a_class(1000, policy="Never"))
    pod = await api.create(a_pod(namespace, class_name=made.metadata.name))
    assert (pod.spec.priority, pod.spec.preemption_policy) == (1000, "Never")


async def test_a_pod_of_no_class_has_zero_or_the_default(api: Api, namespace: str) -> None:
    assert (await api.create(a_pod(namespace, "before"))).spec.priority == 0
    async with the_default(api, 7) as default:
        pod = await api.create(a_pod(namespace))
        assert (pod.spec.priority, pod.spec.priority_class_name) == (7, default.metadata.name)
        with pytest.raises(errors.Forbidden, match="is already marked as default"):
            await api.create(a_class(8, default=True))


async def test_an_unknown_class_is_refused_by_name(api: Api, namespace: str) -> None:
    with pytest.raises(errors.Forbidden, match="no PriorityClass with name nope was found"):
        await api.create(a_pod(namespace, class_name="nope"))


async def test_a_pod_does_not_say_its_number_itself(api: Api, namespace: str) -> None:
    pod = a_pod(namespace)
    pod.spec.priority = 5
    with pytest.raises(errors.Forbidden, match=r"the integer value of priority \(5\) must not be provided in pod spec"):
        await api.create(pod)


async def test_the_classes_of_the_system_are_there(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace, class_name="system-node-critical"))
    assert pod.spec.priority == 2_000_001_000
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)):
        assert (await api.get(scheduling.PriorityClass, name)).value == value
