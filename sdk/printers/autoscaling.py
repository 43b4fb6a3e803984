"""The cells of horizontal pod autoscalers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from raftsman import times
from raftsman.autoscaling import v2 as autoscaling
from raftsman.meta import v1 as meta

NONE, UNKNOWN = "<none>", "<unknown>"
_SHOWN_MAX = 2


def autoscaler(obj: autoscaling.HorizontalPodAutoscaler, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        f"{spec.scale_target_ref.kind}/{spec.scale_target_ref.name}",
        metrics(obj),
        str(spec.min_replicas) if spec.HasField("min_replicas") else "<unset>",
        str(spec.max_replicas),
        str(obj.status.current_replicas),
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def metrics(obj: autoscaling.HorizontalPodAutoscaler) -> str:
    """`cpu: 12%/80%, 3/10 (avg) + 1 more...`."""
    found = list(_metrics(obj))
    more = f" + {len(found) - _SHOWN_MAX} more..." if len(found) > _SHOWN_MAX else ""
    return (", ".join(found[:_SHOWN_MAX]) or NONE) + more


def _metrics(obj: autoscaling.HorizontalPodAutoscaler) -> Iterator[str]:
    statuses = obj.status.current_metrics
    for index, metric in enumerate(obj.spec.metrics):
        yield _metric(metric, statuses[index] if index < len(statuses) else autoscaling.MetricStatus())


def _metric(metric: autoscaling.MetricSpec, status: autoscaling.MetricStatus) -> str:
    match metric.type:
        case "External":
            return _value(metric.external.target, status.external.current)
        case "Object":
            return _value(metric.object.target, status.object.current)
        case "Pods":
            return f"{_average(status.pods.current)}/{_text(metric.pods.target.average_value)}"
        case "Resource":
            return f"{metric.resource.name}: {_usage(metric.resource.target, status.resource.current)}"
        case "ContainerResource":
            source = metric.container_resource
            return f"{source.name}: {_usage(source.target, status.container_resource.current)}"
    return "<unknown type>"


def _value(target: autoscaling.MetricTarget, current: autoscaling.MetricValueStatus) -> str:
    if target.HasField("average_value"):
        return f"{_average(current)}/{_text(target.average_value)} (avg)"
    return f"{_text(current.value) if current.HasField('value') else UNKNOWN}/{_text(target.value)}"


def _usage(target: autoscaling.MetricTarget, current: autoscaling.MetricValueStatus) -> str:
    if target.HasField("average_value"):
        return f"{_average(current)}/{_text(target.average_value)}"
    now = f"{current.average_utilization}%" if current.HasField("average_utilization") else UNKNOWN
    wanted = f"{target.average_utilization}%" if target.HasField("average_utilization") else "<auto>"
    return f"{now}/{wanted}"


def _average(current: autoscaling.MetricValueStatus) -> str:
    return _text(current.average_value) if current.HasField("average_value") else UNKNOWN


def _text(found: meta.Quantity) -> str:
    return found.string or "0"
