"""Quality of service: classes, cgroup limits, OOM scores."""

from __future__ import annotations

import pytest
from raftsman.agents.node.pods import qos
from raftsman.agents.node.runtime import Qos
from raftsman.core import v1 as core

from .builders import pod

GIB = 1 << 30


def give(
    container: core.Container, *, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None
) -> None:
    for name, text in (requests or {}).items():
        container.resources.requests[name].string = text
    for name, text in (limits or {}).items():
        container.resources.limits[name].string = text


def test_classes() -> None:
    made = pod("a", "b")
    assert qos.class_of(made) == "BestEffort"
    both = {"cpu": "500m", "memory": "64Mi"}
    give(made.spec.containers[0], requests=both, limits=both)
    assert qos.class_of(made) == "Burstable"
    give(made.spec.containers[1], limits=both)
    assert qos.class_of(made) == "Guaranteed"
    give(made.spec.containers[1], requests={"cpu": "100m"})
    assert qos.class_of(made) == "Burstable"
    assert qos.branch_of(made) is Qos.BURSTABLE


def test_equal_amounts_written_differently_are_guaranteed() -> None:
    made = pod()
    give(made.spec.containers[0], requests={"cpu": "1000m", "memory": "1Gi"}, limits={"cpu": "1", "memory": "1024Mi"})
    assert qos.class_of(made) == "Guaranteed"


def test_a_pods_cgroup_gets_the_sums_unless_one_container_is_unlimited() -> None:
    made = pod("a", "b")
    for container in made.spec.containers:
        give(container, requests={"cpu": "250m"}, limits={"cpu": "500m", "memory": "64Mi"})
    found = qos.pod_resources(made)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit) == (512, 100_000, 128 << 20)
    del made.spec.containers[1].resources.limits["memory"]
    assert qos.pod_resources(made).memory_limit is None


def test_a_container_without_requests_has_the_least_shares() -> None:
    made = pod()
    found = qos.container_resources(made, made.spec.containers[0], memory_capacity=GIB)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit) == (2, None, None)


def test_a_limit_stands_in_for_a_request() -> None:
    made = pod()
    give(made.spec.containers[0], limits={"cpu": "2"})
    found = qos.container_resources(made, made.spec.containers[0], memory_capacity=GIB)
    assert (found.cpu_shares, found.cpu_quota_us) == (2048, 200_000)


@pytest.mark.parametrize(("request_", "score"), [("512Mi", 500), ("1Mi", 999), ("1Gi", 3)])
def test_burstable_oom_scores_fall_with_the_request(request_: str, score: int) -> None:
    made = pod()
    give(made.spec.containers[0], requests={"memory": request_})
    assert qos.oom_score(made, made.spec.containers[0], memory_capacity=GIB) == score


def test_oom_scores_of_the_other_classes() -> None:
    made = pod()
    assert qos.oom_score(made, made.spec.containers[0], memory_capacity=GIB) == 1000
    give(made.spec.containers[0], limits={"cpu": "1", "memory": "1Mi"})
    assert qos.oom_score(made, made.spec.containers[0], memory_capacity=GIB) == -997
