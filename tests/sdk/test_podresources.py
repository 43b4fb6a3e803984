"""What a pod as a whole asks for."""

from __future__ import annotations

import pytest
from raftsman import podresources
from raftsman.core import v1 as core


def a_spec(*containers: str, init: tuple[str, ...] = (), overhead: str = "", whole: str = "") -> core.PodSpec:
    """CPU requests; an init container's that ends in + is a sidecar's."""
    spec = core.PodSpec()
    for cpu in containers:
        spec.containers.add().resources.requests["cpu"].string = cpu
    for cpu in init:
        container = spec.init_containers.add(restart_policy="Always" if cpu.endswith("+") else "")
        container.resources.requests["cpu"].string = cpu.rstrip("+")
    if overhead:
        spec.overhead["cpu"].string = overhead
    if whole:
        spec.resources.requests["cpu"].string = whole
    return spec


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        (a_spec("1", "500m"), "1500m"),
        (a_spec("1", init=("3", "2")), "3"),
        (a_spec("1", init=("3", "2"), overhead="100m"), "3100m"),
        (a_spec("1", init=("500m+", "2", "1+")), "2500m"),
        (a_spec("2", init=("500m+", "1")), "2500m"),
        (a_spec("1", "1", whole="5"), "5"),
    ],
)
def test_requests_are_summed_as_they_run(spec: core.PodSpec, cpu: str) -> None:
    assert str(podresources.requests(spec)["cpu"]) == cpu


def test_overhead_limits_only_what_is_limited() -> None:
    spec = a_spec("1", overhead="1")
    assert podresources.limits(spec) == {}
    spec.containers[0].resources.limits["cpu"].string = "2"
    assert str(podresources.limits(spec)["cpu"]) == "3"
