"""autoscaling/v1 HorizontalPodAutoscaler, stored as autoscaling/v2.

The one metric that v1 has a field for is the share of requested CPU; every other metric, behavior and condition of a v2
object stands in annotations while it is seen as v1, in the forms that Kubernetes writes there, and is taken from them
when it comes back. What cannot be read there is left alone, as any other annotation.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import orjson
from raftsman import codec
from raftsman.autoscaling import v1 as v1
from raftsman.autoscaling import v2 as v2
from raftsman.meta import v1 as meta

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT = f"{_PREFIX}metrics", f"{_PREFIX}current-metrics"
CONDITIONS, BEHAVIOR = f"{_PREFIX}conditions", f"{_PREFIX}behavior"
CPU = "cpu"


def to_stored(found: v1.HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    made = v2.HorizontalPodAutoscaler()
    if found.HasField("metadata"):
        made.metadata.CopyFrom(found.metadata)
    if found.HasField("spec"):
        _spec_to_stored(found.spec, made.spec)
    if found.HasField("status"):
        _status_to_stored(found.status, made.status)
    annotations = made.metadata.annotations if found.metadata.annotations else {}
    _from_annotation(annotations, METRICS, lambda value: made.spec.metrics.extend(_metrics_of(value)))
    _from_annotation(annotations, CURRENT, lambda value: made.status.current_metrics.extend(_current_of(value)))
    _from_annotation(annotations, CONDITIONS, lambda value: made.status.conditions.extend(_conditions_of(value)))
    _from_annotation(annotations, BEHAVIOR, lambda value: made.spec.behavior.CopyFrom(_behavior_of(value)))
    return made


def _spec_to_stored(found: v1.HorizontalPodAutoscalerSpec, made: v2.HorizontalPodAutoscalerSpec) -> None:
    if found.HasField("scale_target_ref"):
        _reference(found.scale_target_ref, made.scale_target_ref)
    for field in ("min_replicas", "max_replicas"):
        if found.HasField(field):
            setattr(made, field, getattr(found, field))
    if found.HasField("target_cpu_utilization_percentage"):
        metric = made.metrics.add(type="Resource")
        metric.resource.name = CPU
        metric.resource.target.type = "Utilization"
        metric.resource.target.average_utilization = found.target_cpu_utilization_percentage


def _status_to_stored(found: v1.HorizontalPodAutoscalerStatus, made: v2.HorizontalPodAutoscalerStatus) -> None:
    made.SetInParent()
    for field in ("observed_generation", "current_replicas", "desired_replicas"):
        if found.HasField(field):
            setattr(made, field, getattr(found, field))
    if found.HasField("last_scale_time"):
        made.last_scale_time.CopyFrom(found.last_scale_time)
    if found.HasField("current_cpu_utilization_percentage"):
        metric = made.current_metrics.add(type="Resource")
        metric.resource.name = CPU
        metric.resource.current.average_utilization = found.current_cpu_utilization_percentage


def from_stored(found: v2.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    made = v1.HorizontalPodAutoscaler()
    if found.HasField("metadata"):
        made.metadata.CopyFrom(found.metadata)
    if found.HasField("spec"):
        _spec_from_stored(found.spec, made)
    if found.HasField("status"):
        _status_from_stored(found.status, made)
    return made


def _spec_from_stored(found: v2.HorizontalPodAutoscalerSpec, made: v1.HorizontalPodAutoscaler) -> None:
    spec = made.spec
    if found.HasField("scale_target_ref"):
        _reference(found.scale_target_ref, spec.scale_target_ref)
    for field in ("min_replicas", "max_replicas"):
        if found.HasField(field):
            setattr(spec, field, getattr(found, field))
    rest = []
    for metric in found.metrics:
        if not spec.HasField("target_cpu_utilization_percentage") and _is_cpu(metric):
            spec.target_cpu_utilization_percentage = metric.resource.target.average_utilization
        else:
            rest.append(codec.to_json(_metric_to_v1(metric)))
    if rest:
        made.metadata.annotations[METRICS] = orjson.dumps(rest).decode()
    if found.HasField("behavior"):
        made.metadata.annotations[BEHAVIOR] = orjson.dumps(_behavior_json(found.behavior)).decode()


def _status_from_stored(found: v2.HorizontalPodAutoscalerStatus, made: v1.HorizontalPodAutoscaler) -> None:
    status = made.status
    status.SetInParent()
    for field in ("observed_generation", "current_replicas", "desired_replicas"):
        if found.HasField(field):
            setattr(status, field, getattr(found, field))
    if found.HasField("last_scale_time"):
        status.last_scale_time.CopyFrom(found.last_scale_time)
    rest = []
    for metric in found.current_metrics:
        current = metric.resource.current
        if metric.type == "Resource" and metric.resource.name == CPU and current.HasField("average_utilization"):
            status.current_cpu_utilization_percentage = current.average_utilization
        rest.append(codec.to_json(_status_to_v1(metric)))
    if rest:
        made.metadata.annotations[CURRENT] = orjson.dumps(rest).decode()
    if found.conditions:
        shown = [codec.to_json(_condition(one, v1.HorizontalPodAutoscalerCondition())) for one in found.conditions]
        made.metadata.annotations[CONDITIONS] = orjson.dumps(shown).decode()


def _is_cpu(metric: v2.MetricSpec) -> bool:
    target = metric.resource.target
    return metric.type == "Resource" and metric.resource.name == CPU and target.HasField("average_utilization")


def _reference(found: Any, made: Any) -> None:
    made.SetInParent()
    for field in ("kind", "name", "api_version"):
        if found.HasField(field):
            setattr(made, field, getattr(found, field))


def _condition(found: Any, made: Any) -> Any:
    for field in ("type", "status", "reason", "message"):
        if found.HasField(field):
            setattr(made, field, getattr(found, field))
    if found.HasField("last_transition_time"):
        made.last_transition_time.CopyFrom(found.last_transition_time)
    return made


# Metrics: v2 has a target and an identifier where v1 has a field for each number.

_SOURCES = ("object", "pods", "resource", "container_resource", "external")


def _metric_to_v1(found: v2.MetricSpec) -> v1.MetricSpec:
    made = v1.MetricSpec(type=found.type)
    for source in _SOURCES:
        if found.HasField(source):  # type: ignore[arg-type]
            _flatten(getattr(found, source), getattr(made, source), getattr(found, source).target, "target")
    return made


def _status_to_v1(found: v2.MetricStatus) -> v1.MetricStatus:
    made = v1.MetricStatus(type=found.type)
    for source in _SOURCES:
        if found.HasField(source):  # type: ignore[arg-type]
            _flatten(getattr(found, source), getattr(made, source), getattr(found, source).current, "current")
    return made


def _flatten(source: Any, made: Any, numbers: Any, word: str) -> None:
    made.SetInParent()
    for theirs, ours in _names(made, word):
        if numbers.HasField(theirs):
            _set(made, ours, getattr(numbers, theirs))
    for field in ("name", "container"):
        if hasattr(made, field) and source.HasField(field):
            setattr(made, field, getattr(source, field))
    if hasattr(source, "metric"):
        made.metric_name = source.metric.name
        selector = "metric_selector" if hasattr(made, "metric_selector") else "selector"
        if source.metric.HasField("selector"):
            getattr(made, selector).CopyFrom(source.metric.selector)
    if hasattr(source, "described_object"):
        _reference(source.described_object, made.target)


def _names(flat: Any, word: str) -> list[tuple[str, str]]:
    """The numbers of a v2 target or value that a flat v1 source has, with their names there."""
    names = [
        ("value", f"{word}_value"), ("average_value", f"{word}_average_value"), ("average_value", "average_value"),
        ("average_utilization", f"{word}_average_utilization"),
    ]  # fmt: skip
    return [pair for pair in names if hasattr(flat, pair[1])]


def _set(message: Any, field: str, value: Any) -> None:
    if isinstance(value, meta.Quantity):
        getattr(message, field).CopyFrom(value)
    else:
        setattr(message, field, value)


def _unflatten(flat: Any, made: Any, numbers: Any, word: str) -> None:
    made.SetInParent()
    numbers.SetInParent()
    for theirs, ours in _names(flat, word):
        if flat.HasField(ours):
            _set(numbers, theirs, getattr(flat, ours))
    for field in ("name", "container"):
        if hasattr(flat, field) and flat.HasField(field):
            setattr(made, field, getattr(flat, field))
    if hasattr(made, "metric"):
        made.metric.name = flat.metric_name
        selector = "metric_selector" if hasattr(flat, "metric_selector") else "selector"
        if flat.HasField(selector):
            made.metric.selector.CopyFrom(getattr(flat, selector))
    if hasattr(made, "described_object"):
        _reference(flat.target, made.described_object)


def _metrics_of(value: Any) -> list[v2.MetricSpec]:
    made = []
    for tree in value:
        found = _decoded(tree, v1.MetricSpec)
        metric = v2.MetricSpec(type=found.type)
        for source in _SOURCES:
            if found.HasField(source):
                target = getattr(metric, source).target
                _unflatten(getattr(found, source), getattr(metric, source), target, "target")
                target.type = _target_type(target)
        made.append(metric)
    return made


def _target_type(target: v2.MetricTarget) -> str:
    if target.HasField("average_utilization"):
        return "Utilization"
    return "AverageValue" if target.HasField("average_value") else "Value"


def _current_of(value: Any) -> list[v2.MetricStatus]:
    """Without the share of CPU, which has a field of its own."""
    made = []
    for tree in value:
        found = _decoded(tree, v1.MetricStatus)
        metric = v2.MetricStatus(type=found.type)
        for source in _SOURCES:
            if found.HasField(source):
                current = getattr(metric, source).current
                _unflatten(getattr(found, source), getattr(metric, source), current, "current")
        if metric.resource.name != CPU or not metric.resource.current.HasField("average_utilization"):
            made.append(metric)
    return made


def _conditions_of(value: Any) -> list[v2.HorizontalPodAutoscalerCondition]:
    return [
        _condition(_decoded(tree, v1.HorizontalPodAutoscalerCondition), v2.HorizontalPodAutoscalerCondition())
        for tree in value
    ]


def _decoded(tree: Any, message: type[Any]) -> Any:
    decoded = codec.from_json(tree, message)
    if decoded.problems:
        raise ValueError(decoded.problems[0].message)
    return decoded.message


# Behavior stands in its annotation under the names of Go's fields.


def _behavior_json(found: v2.HorizontalPodAutoscalerBehavior) -> dict[str, Any]:
    def rules(given: bool, one: v2.HPAScalingRules) -> dict[str, Any] | None:
        if not given:
            return None
        policies = [{"Type": p.type, "Value": p.value, "PeriodSeconds": p.period_seconds} for p in one.policies]
        window = one.stabilization_window_seconds if one.HasField("stabilization_window_seconds") else None
        return {
            "StabilizationWindowSeconds": window,
            "SelectPolicy": one.select_policy if one.HasField("select_policy") else None,
            "Policies": policies,
            "Tolerance": one.tolerance.string if one.HasField("tolerance") else None,
        }

    return {
        "ScaleUp": rules(found.HasField("scale_up"), found.scale_up),
        "ScaleDown": rules(found.HasField("scale_down"), found.scale_down),
    }


def _behavior_of(value: Any) -> v2.HorizontalPodAutoscalerBehavior:
    tree: dict[str, Any] = {}
    for go, word in (("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")):
        rules = value.get(go)
        if rules is not None:
            plain = {_lower(name): inner for name, inner in rules.items() if inner is not None}
            plain["policies"] = [
                {_lower(name): inner for name, inner in policy.items()} for policy in plain.get("policies", ())
            ]
            tree[word] = plain
    found: v2.HorizontalPodAutoscalerBehavior = _decoded(tree, v2.HorizontalPodAutoscalerBehavior)
    return found


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _from_annotation(annotations: MutableMapping[str, str], key: str, take: Callable[[Any], Any]) -> None:
    """Take what an annotation holds, and the annotation away; one that cannot be read stays as it is."""
    text = annotations.get(key)
    if text is None:
        return
    try:
        take(orjson.loads(text))
    except (ValueError, TypeError, AttributeError):
        return
    del annotations[key]
