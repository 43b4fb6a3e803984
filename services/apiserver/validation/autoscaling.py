"""Horizontal pod autoscalers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftsman import quantity
from raftsman.autoscaling import v2 as autoscaling
from raftsman.meta import v1 as meta

from . import names, numbers, resources
from .causes import Causes

PERIOD_MAX_S = 1800
WINDOW_MAX_S = 3600
_SELECT = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_TARGETS = ("Utilization", "Value", "AverageValue")
# The field that each type of metric needs, by its names in JSON and in Python.
_SOURCES = {
    "ContainerResource": ("containerResource", "container_resource"), "External": ("external", "external"),
    "Object": ("object", "object"), "Pods": ("pods", "pods"), "Resource": ("resource", "resource"),
}  # fmt: skip


def autoscaler(found: autoscaling.HorizontalPodAutoscaler, causes: Causes, *, least: int = 1) -> None:
    spec = found.spec
    if spec.min_replicas < least:
        causes.invalid("spec.minReplicas", spec.min_replicas, f"must be greater than or equal to {least}")
    if spec.max_replicas < 1:
        causes.invalid("spec.maxReplicas", spec.max_replicas, "must be greater than 0")
    if spec.max_replicas < spec.min_replicas:
        causes.invalid("spec.maxReplicas", spec.max_replicas, "must be greater than or equal to `minReplicas`")
    _reference(spec.scale_target_ref, causes, path="spec.scaleTargetRef")
    for index, metric in enumerate(spec.metrics):
        _metric(metric, causes, path=f"spec.metrics[{index}]")
    to_zero = spec.HasField("min_replicas") and not spec.min_replicas
    if to_zero and not any(metric.type in ("Object", "External") for metric in spec.metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        causes.forbidden("spec.metrics", why)
    for word, field in (("scaleUp", "scale_up"), ("scaleDown", "scale_down")):
        if spec.behavior.HasField(field):  # type: ignore[arg-type]
            _rules(getattr(spec.behavior, field), causes, path=f"spec.behavior.{word}")


def update(new: autoscaling.HorizontalPodAutoscaler, old: autoscaling.HorizontalPodAutoscaler, causes: Causes) -> None:
    at_zero = old.spec.HasField("min_replicas") and not old.spec.min_replicas
    autoscaler(new, causes, least=0 if at_zero else 1)


def status(new: autoscaling.HorizontalPodAutoscaler, old: autoscaling.HorizontalPodAutoscaler, causes: Causes) -> None:
    numbers.not_negative(new.status, causes, path="status", fields=("current_replicas", "desired_replicas"))


def _reference(found: autoscaling.CrossVersionObjectReference, causes: Causes, *, path: str) -> None:
    for word in ("kind", "name"):
        value = getattr(found, word)
        if not value:
            causes.required(f"{path}.{word}")
        for wrong in names.path_segment(value):
            causes.invalid(f"{path}.{word}", value, wrong)


def _rules(found: autoscaling.HPAScalingRules, causes: Causes, *, path: str) -> None:
    at, window = f"{path}.stabilizationWindowSeconds", found.stabilization_window_seconds
    if window < 0:
        causes.invalid(at, window, "must be greater than or equal to zero")
    if window > WINDOW_MAX_S:
        causes.invalid(at, window, f"must be less than or equal to {WINDOW_MAX_S}")
    if found.HasField("select_policy") and found.select_policy not in _SELECT:
        causes.not_supported(f"{path}.selectPolicy", found.select_policy, _SELECT)
    if not found.policies:
        causes.required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(found.policies):
        _policy(policy, causes, path=f"{path}.policies[{index}]")
    if found.HasField("tolerance"):
        resources.one(found.tolerance, causes, path=f"{path}.tolerance")


def _policy(found: autoscaling.HPAScalingPolicy, causes: Causes, *, path: str) -> None:
    if found.type not in _POLICIES:
        causes.not_supported(f"{path}.type", found.type, _POLICIES)
    for word, value in (("value", found.value), ("periodSeconds", found.period_seconds)):
        if value <= 0:
            causes.invalid(f"{path}.{word}", value, "must be greater than zero")
    if found.period_seconds > PERIOD_MAX_S:
        causes.invalid(f"{path}.periodSeconds", found.period_seconds, f"must be less than or equal to {PERIOD_MAX_S}")


def _metric(found: autoscaling.MetricSpec, causes: Causes, *, path: str) -> None:
    if not found.type:
        causes.required(f"{path}.type", "must specify a metric source type")
    if found.type not in _SOURCES:
        causes.not_supported(f"{path}.type", found.type, _SOURCES)
    present = {word: field for word, field in _SOURCES.values() if found.HasField(field)}  # type: ignore[arg-type]
    for word, field in list(present.items())[:1]:
        _CHECKS[word](getattr(found, field), causes, f"{path}.{word}")
    wanted = _SOURCES.get(found.type, ("", ""))[0]
    if wanted and wanted not in present:
        causes.required(f"{path}.{wanted}", "must populate information for the given metric source")
    if len(present) > 1:
        for word in sorted(set(present) - {wanted}):
            causes.forbidden(f"{path}.{word}", "must populate the given metric source only")


def _object(found: autoscaling.ObjectMetricSource, causes: Causes, path: str) -> None:
    _reference(found.described_object, causes, path=f"{path}.describedObject")
    _identifier(found.metric, causes, path=f"{path}.metric")
    _target(found.target, causes, path=f"{path}.target")
    if not found.target.HasField("value") and not found.target.HasField("average_value"):
        causes.required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external(found: autoscaling.ExternalMetricSource, causes: Causes, path: str) -> None:
    _identifier(found.metric, causes, path=f"{path}.metric")
    _target(found.target, causes, path=f"{path}.target")
    value, average = found.target.HasField("value"), found.target.HasField("average_value")
    if not value and not average:
        why = "must set either a target value for metric or a per-pod target"
        causes.required(f"{path}.target.averageValue", why)
    if value and average:
        causes.forbidden(f"{path}.target.value", "may not set both a target value for metric and a per-pod target")


def _pods(found: autoscaling.PodsMetricSource, causes: Causes, path: str) -> None:
    _identifier(found.metric, causes, path=f"{path}.metric")
    _target(found.target, causes, path=f"{path}.target")
    if not found.target.HasField("average_value"):
        causes.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _resource(found: autoscaling.ResourceMetricSource, causes: Causes, path: str) -> None:
    if not found.name:
        causes.required(f"{path}.name", "must specify a resource name")
    _usage(found.target, causes, path=f"{path}.target")


def _container(found: autoscaling.ContainerResourceMetricSource, causes: Causes, path: str) -> None:
    if not found.name:
        causes.required(f"{path}.name", "must specify a resource name")
    if not found.container:
        causes.required(f"{path}.container", "must specify a container")
    else:
        for wrong in names.dns_label(found.container):
            causes.invalid(f"{path}.container", found.container, wrong)
    _usage(found.target, causes, path=f"{path}.target")


def _usage(found: autoscaling.MetricTarget, causes: Causes, *, path: str) -> None:
    _target(found, causes, path=path)
    part, average = found.HasField("average_utilization"), found.HasField("average_value")
    if not part and not average:
        why = "must set either a target raw value or a target utilization"
        causes.required(f"{path}.averageUtilization", why)
    if part and average:
        causes.forbidden(f"{path}.averageValue", "may not set both a target raw value and a target utilization")


def _target(found: autoscaling.MetricTarget, causes: Causes, *, path: str) -> None:
    if not found.type:
        causes.required(f"{path}.type", "must specify a metric target type")
    if found.type not in _TARGETS:
        causes.invalid(f"{path}.type", found.type, "must be either Utilization, Value, or AverageValue")
    for word, field in (("value", "value"), ("averageValue", "average_value")):
        if found.HasField(field):  # type: ignore[arg-type]
            _positive(getattr(found, field), causes, path=f"{path}.{word}")
    if found.HasField("average_utilization") and found.average_utilization < 1:
        causes.invalid(f"{path}.averageUtilization", found.average_utilization, "must be greater than 0")


def _positive(found: meta.Quantity, causes: Causes, *, path: str) -> None:
    try:
        positive = quantity.parse(found.string).nano > 0
    except quantity.QuantityError as error:
        causes.invalid(path, found.string, str(error))
        return
    if not positive:
        causes.invalid(path, found.string, "must be positive")


def _identifier(found: autoscaling.MetricIdentifier, causes: Causes, *, path: str) -> None:
    if not found.name:
        causes.required(f"{path}.name", "must specify a metric name")
    for wrong in names.path_segment(found.name):
        causes.invalid(f"{path}.name", found.name, wrong)


_CHECKS: dict[str, Callable[[Any, Causes, str], None]] = {
    "object": _object, "external": _external, "pods": _pods, "resource": _resource, "containerResource": _container,
}  # fmt: skip
