"""Default values of autoscaling/v2."""

from __future__ import annotations

from raftsman.autoscaling import v2 as autoscaling

from . import quantities

CPU_PERCENT = 80
_PERIOD_S = 15
_UP = (("Pods", 4), ("Percent", 100))
_DOWN = (("Percent", 100),)


def autoscaler(found: autoscaling.HorizontalPodAutoscaler) -> None:
    spec = found.spec
    if not spec.HasField("min_replicas"):
        spec.min_replicas = 1
    if not spec.metrics:
        metric = spec.metrics.add(type="Resource")
        metric.resource.name = "cpu"
        metric.resource.target.type = "Utilization"
        metric.resource.target.average_utilization = CPU_PERCENT
    for metric in spec.metrics:
        _canonical(metric)
    if spec.HasField("behavior"):
        up = spec.behavior.scale_up
        if not up.HasField("stabilization_window_seconds"):
            up.stabilization_window_seconds = 0
        _rules(up, _UP)
        _rules(spec.behavior.scale_down, _DOWN)


def _rules(found: autoscaling.HPAScalingRules, policies: tuple[tuple[str, int], ...]) -> None:
    if not found.HasField("select_policy"):
        found.select_policy = "Max"
    if not found.policies:
        for type_, value in policies:
            found.policies.add(type=type_, value=value, period_seconds=_PERIOD_S)
    if found.HasField("tolerance"):
        quantities.canonical_one(found.tolerance)


def _canonical(metric: autoscaling.MetricSpec) -> None:
    targets = (
        metric.object.target, metric.pods.target, metric.resource.target, metric.container_resource.target,
        metric.external.target,
    )  # fmt: skip
    for target in targets:
        if target.HasField("value"):
            quantities.canonical_one(target.value)
        if target.HasField("average_value"):
            quantities.canonical_one(target.average_value)
