"""Limit ranges, against a real store and a real server, and the sums behind them."""

from __future__ import annotations

import pytest
from raftsman import errors
from raftsman.core import v1 as core
from raftsman.services.apiserver.admission import limit_ranger

from tests.services.apiserver.cluster import Api

Amounts = dict[str, str]


def a_range(namespace: str = "", name: str = "limits", **item: str | Amounts) -> core.LimitRange:
    limit_range = core.LimitRange()
    limit_range.metadata.namespace, limit_range.metadata.name = namespace, name
    found = limit_range.spec.limits.add(type=item.pop("type", "Container"))
    for field, amounts in item.items():
        assert isinstance(amounts, dict)
        for resource, text in amounts.items():
            getattr(found, field)[resource].string = text
    return limit_range


def a_pod(namespace: str = "", name: str = "web", **amounts: Amounts) -> core.Pod:
    pod = core.Pod()
    pod.metadata.namespace, pod.metadata.name = namespace, name
    container = pod.spec.containers.add(name="app", image="localhost/raftsman-demo:1")
    for field, texts in amounts.items():
        for resource, text in texts.items():
            getattr(container.resources, field)[resource].string = text
    return pod


def texts(found: object) -> Amounts:
    return {name: found[name].string for name in found}  # type: ignore[index, attr-defined]


async def test_a_container_gets_what_it_leaves_open(api: Api, namespace: str) -> None:
    await api.create(a_range(namespace, default={"cpu": "500m", "memory": "1Gi"}, default_request={"cpu": "100m"}))
    pod = await api.create(a_pod(namespace, limits={"memory": "2Gi"}))
    resources = pod.spec.containers[0].resources
    assert texts(resources.limits) == {"cpu": "500m", "memory": "2Gi"}
    assert texts(resources.requests) == {"cpu": "100m", "memory": "2Gi"}
    assert pod.metadata.annotations["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container app; cpu limit for container app"
    )
    assert pod.status.qos_class == "Burstable"


async def test_the_class_of_service_is_that_of_the_completed_pod(api: Api, namespace: str) -> None:
    both = {"cpu": "100m", "memory": "64Mi"}
    await api.create(a_range(namespace, default=both, default_request=both))
    assert (await api.create(a_pod(namespace))).status.qos_class == "Guaranteed"


async def test_a_pod_out_of_bounds_is_forbidden_with_all_reasons(api: Api, namespace: str) -> None:
    await api.create(a_range(namespace, max={"memory": "1Gi"}, min={"cpu": "50m"}))
    with pytest.raises(errors.Forbidden) as refused:
        await api.create(a_pod(namespace, limits={"memory": "1536Mi"}, requests={"cpu": "10m"}))
    assert refused.value.message == (
        'pods "web" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, '
        "maximum memory usage per Container is 1Gi, but limit is 1536Mi]"
    )


async def test_bounds_of_a_pod_are_of_the_sum(api: Api, namespace: str) -> None:
    await api.create(a_range(namespace, type="Pod", max={"cpu": "1"}))
    pod = a_pod(namespace, limits={"cpu": "600m"})
    assert await api.create(pod, dry_run=True)
    pod.spec.containers.add(name="other", image="localhost/raftsman-demo:1").resources.limits["cpu"].string = "600m"
    with pytest.raises(errors.Forbidden, match=r"maximum cpu usage per Pod is 1, but limit is 1200m"):
        await api.create(pod)


async def test_bounds_of_claims_are_of_their_requests(api: Api, namespace: str) -> None:
    await api.create(a_range(namespace, type="PersistentVolumeClaim", max={"storage": "2Gi"}, min={"storage": "1Gi"}))
    claim = core.PersistentVolumeClaim()
    claim.metadata.namespace, claim.metadata.name = namespace, "data"
    claim.spec.access_modes.append("ReadWriteOnce")
    claim.spec.resources.requests["storage"].string = "5Gi"
    with pytest.raises(errors.Forbidden, match="maximum storage usage per PersistentVolumeClaim is 2Gi, but request"):
        await api.create(claim)
    claim.spec.resources.requests["storage"].string = "512Mi"
    with pytest.raises(errors.Forbidden, match="minimum storage usage per PersistentVolumeClaim is 1Gi, but request"):
        await api.create(claim)


def test_what_is_not_stated_breaks_a_bound_too() -> None:
    said = limit_ranger.violations(a_pod(), a_range(max={"cpu": "1"}, min={"memory": "1Mi"}))
    assert said == [
        "minimum memory usage per Container is 1Mi.  No request is specified",
        "maximum cpu usage per Container is 1.  No limit is specified",
    ]


@pytest.mark.parametrize(
    ("limits", "requests", "said"),
    [
        ({"cpu": "1"}, {"cpu": "500m"}, None),
        ({"cpu": "1"}, {"cpu": "250m"}, "but provided ratio is 4.000000"),
        ({"cpu": "1"}, {}, "but no request is specified or request is 0"),
        ({}, {"cpu": "1"}, "but no limit is specified or limit is 0"),
    ],
)
def test_limits_and_requests_keep_their_ratio(limits: Amounts, requests: Amounts, said: str | None) -> None:
    pod = a_pod(limits=limits, requests=requests)
    found = limit_ranger.violations(pod, a_range(max_limit_request_ratio={"cpu": "2"}))
    assert found == ([f"cpu max limit to request ratio per Container is 2, {said}"] if said else [])


async def test_an_update_of_a_pod_is_not_measured_again(api: Api, namespace: str) -> None:
    pod = await api.create(a_pod(namespace))
    await api.create(a_range(namespace, min={"cpu": "1"}))
    pod.metadata.labels["a"] = "b"
    assert (await api.update(pod)).metadata.labels["a"] == "b"
