"""Deployments and replica sets, described."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.apps import v1 as apps
from raftsman.metadata import controller_of
from raftsman.printers import workloads

from .templates import int_or_string, template_section
from .text import NONE, Text, conditions, head, moment


def deployment(text: Text, obj: apps.Deployment) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("CreationTimestamp", moment(obj.metadata.creation_timestamp))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.field("Selector", workloads.selector(obj.spec.selector))
    status = obj.status
    text.field(
        "Replicas",
        f"{workloads.desired(obj.spec)} desired | {status.updated_replicas} updated | {status.replicas} total | "
        f"{status.available_replicas} available | {status.unavailable_replicas} unavailable",
    )
    text.field("StrategyType", obj.spec.strategy.type)
    text.field("MinReadySeconds", obj.spec.min_ready_seconds)
    if obj.spec.strategy.HasField("rolling_update"):
        rolling = obj.spec.strategy.rolling_update
        text.field(
            "RollingUpdateStrategy",
            f"{int_or_string(rolling.max_unavailable)} max unavailable, {int_or_string(rolling.max_surge)} max surge",
        )
    template_section(text, obj.spec.template)
    conditions(text, status.conditions, ("Type", "Status", "Reason"))


def deployment_sets(text: Text, obj: apps.Deployment, found: Sequence[apps.ReplicaSet]) -> None:
    """The replica sets of a deployment: older ones that still have pods, and the newest."""

    def said(sets: Sequence[apps.ReplicaSet]) -> str:
        parts = [f"{s.metadata.name} ({s.status.replicas}/{workloads.desired(s.spec)} replicas created)" for s in sets]
        return ", ".join(parts) or NONE

    text.field("OldReplicaSets", said(found[:-1]))
    text.field("NewReplicaSet", said(found[-1:]))


def replica_set(text: Text, obj: apps.ReplicaSet) -> None:
    head(text, obj)
    text.field("Selector", workloads.selector(obj.spec.selector))
    owner = controller_of(obj)
    if owner is not None:
        text.field("Controlled By", f"{owner.kind}/{owner.name}")
    text.field("Replicas", f"{obj.status.replicas} current / {workloads.desired(obj.spec)} desired")
    text.field("Ready", f"{obj.status.ready_replicas} ready / {obj.status.available_replicas} available")
    template_section(text, obj.spec.template)
    conditions(text, obj.status.conditions, ("Type", "Status", "Reason"))
