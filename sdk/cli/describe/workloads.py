"""Workloads that last, described."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.metadata import controller_of
from raftsman.printers import volumes, workloads

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


def _pods_status(text: Text, running: int, desired: int) -> None:
    text.field("Pods Status", f"{running} Running of {desired} desired")


def daemon_set(text: Text, obj: apps.DaemonSet) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("Selector", workloads.selector(obj.spec.selector))
    text.field("Node-Selector", workloads.mapping(obj.spec.template.spec.node_selector))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    status = obj.status
    for label, count in (
        ("Desired Number of Nodes Scheduled", status.desired_number_scheduled),
        ("Current Number of Nodes Scheduled", status.current_number_scheduled),
        ("Number of Nodes Scheduled with Up-to-date Pods", status.updated_number_scheduled),
        ("Number of Nodes Scheduled with Available Pods", status.number_available),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ):
        text.field(label, count)
    _pods_status(text, status.number_ready, status.desired_number_scheduled)
    template_section(text, obj.spec.template)
    conditions(text, status.conditions, ("Type", "Status", "Reason"))


def stateful_set(text: Text, obj: apps.StatefulSet) -> None:
    text.field("Name", obj.metadata.name)
    text.field("Namespace", obj.metadata.namespace)
    text.field("CreationTimestamp", moment(obj.metadata.creation_timestamp))
    text.field("Selector", workloads.selector(obj.spec.selector))
    text.mapping("Labels", obj.metadata.labels)
    text.annotations(obj.metadata.annotations)
    text.field("Replicas", f"{workloads.desired(obj.spec)} desired | {obj.status.replicas} total")
    text.field("Update Strategy", obj.spec.update_strategy.type)
    if obj.spec.update_strategy.rolling_update.HasField("partition"):
        text.field("Partition", obj.spec.update_strategy.rolling_update.partition, 1)
    _pods_status(text, obj.status.ready_replicas, workloads.desired(obj.spec))
    template_section(text, obj.spec.template)
    if not obj.spec.volume_claim_templates:
        text.field("Volume Claims", NONE)
        return
    text.heading("Volume Claims")
    for claim in obj.spec.volume_claim_templates:
        text.field("Name", claim.metadata.name, 1)
        text.field("StorageClass", claim.spec.storage_class_name, 1)
        text.mapping("Labels", claim.metadata.labels, 1)
        text.field("Capacity", volumes.storage(claim.spec.resources.requests), 1)
        text.field("Access Modes", f"[{' '.join(claim.spec.access_modes)}]", 1)


def replication_controller(text: Text, obj: core.ReplicationController) -> None:
    head(text, obj)
    text.field("Selector", workloads.mapping(obj.spec.selector))
    text.field("Replicas", f"{obj.status.replicas} current / {workloads.desired(obj.spec)} desired")
    _pods_status(text, obj.status.ready_replicas, workloads.desired(obj.spec))
    template_section(text, obj.spec.template)
    conditions(text, obj.status.conditions, ("Type", "Status", "Reason"))
