"""The cells of nodes, namespaces, events, configuration, leases and roles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from raftsman import times
from raftsman.coordination import v1 as coordination
from raftsman.core import v1 as core
from raftsman.rbac import v1 as rbac

NONE = "<none>"
ROLE_LABEL = "node-role.kubernetes.io/"


def _age(obj: Any, now: datetime) -> str:
    return times.age(obj.metadata.creation_timestamp, now=now)


def node(obj: core.Node, now: datetime) -> Sequence[str]:
    info = obj.status.node_info
    return (
        obj.metadata.name,
        node_status(obj),
        node_roles(obj),
        _age(obj, now),
        info.kubelet_version,
        node_address(obj, "InternalIP"),
        node_address(obj, "ExternalIP"),
        info.os_image or "<unknown>",
        info.kernel_version or "<unknown>",
        info.container_runtime_version or "<unknown>",
    )


def node_status(obj: core.Node) -> str:
    ready = next((c.status for c in obj.status.conditions if c.type == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if obj.spec.unschedulable else word


def node_roles(obj: core.Node) -> str:
    labels = obj.metadata.labels
    found = {key.removeprefix(ROLE_LABEL) for key in labels if key.startswith(ROLE_LABEL) and key != ROLE_LABEL}
    if labels.get("kubernetes.io/role"):
        found.add(labels["kubernetes.io/role"])
    return ",".join(sorted(found)) or NONE


def node_address(obj: core.Node, kind: str) -> str:
    return next((a.address for a in obj.status.addresses if a.type == kind), NONE)


def namespace(obj: core.Namespace, now: datetime) -> Sequence[str]:
    return obj.metadata.name, obj.status.phase, _age(obj, now)


def event(obj: core.Event, now: datetime) -> Sequence[str]:
    count = obj.series.count if obj.HasField("series") else obj.count or 1
    return (
        event_last_seen(obj, now),
        obj.type,
        obj.reason,
        event_object(obj),
        obj.involved_object.field_path,
        event_source(obj),
        obj.message.strip(),
        event_first_seen(obj, now),
        str(count),
        obj.metadata.name,
    )


def event_object(obj: core.Event) -> str:
    return f"{obj.involved_object.kind.lower()}/{obj.involved_object.name}"


def event_source(obj: core.Event) -> str:
    component = obj.source.component or obj.reporting_component
    host = obj.source.host or obj.reporting_instance
    return f"{component}, {host}" if component and host else component


def event_time_s(obj: core.Event) -> int:
    """When an event was last seen, in seconds since 1970."""
    moments = (obj.series.last_observed_time, obj.last_timestamp, obj.first_timestamp, obj.event_time)
    return next((moment.seconds for moment in moments if moment.seconds), obj.metadata.creation_timestamp.seconds)


def event_last_seen(obj: core.Event, now: datetime) -> str:
    if obj.HasField("series"):
        return _since(obj.series.last_observed_time, now=now)
    return _since(obj.last_timestamp, obj.first_timestamp, obj.event_time, now=now)


def event_first_seen(obj: core.Event, now: datetime) -> str:
    return _since(obj.first_timestamp, obj.event_time, now=now)


def _since(*moments: Any, now: datetime) -> str:
    return next((times.age(moment, now=now) for moment in moments if not times.is_zero(moment)), "<unknown>")


def config_map(obj: core.ConfigMap, now: datetime) -> Sequence[str]:
    return obj.metadata.name, str(len(obj.data) + len(obj.binary_data)), _age(obj, now)


def secret(obj: core.Secret, now: datetime) -> Sequence[str]:
    return obj.metadata.name, obj.type, str(len(obj.data)), _age(obj, now)


def lease(obj: coordination.Lease, now: datetime) -> Sequence[str]:
    return obj.metadata.name, obj.spec.holder_identity, _age(obj, now)


def role(obj: rbac.Role | rbac.ClusterRole, now: datetime) -> Sequence[str]:
    created = obj.metadata.creation_timestamp
    return obj.metadata.name, "<unknown>" if times.is_zero(created) else times.format_seconds(created.seconds)


def role_binding(obj: rbac.RoleBinding | rbac.ClusterRoleBinding, now: datetime) -> Sequence[str]:
    users = [s.name for s in obj.subjects if s.kind == "User"]
    groups = [s.name for s in obj.subjects if s.kind == "Group"]
    accounts = [f"{s.namespace}/{s.name}" for s in obj.subjects if s.kind == "ServiceAccount"]
    return (
        obj.metadata.name,
        f"{obj.role_ref.kind}/{obj.role_ref.name}",
        _age(obj, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    )


def component_status(obj: core.ComponentStatus, now: datetime) -> Sequence[str]:
    word, message, error = "Unknown", "", ""
    for condition in obj.conditions:
        if condition.type == "Healthy":
            word = {"True": "Healthy", "False": "Unhealthy"}.get(condition.status, "Unknown")
            message, error = condition.message, condition.error
    return obj.metadata.name, word, message, error
