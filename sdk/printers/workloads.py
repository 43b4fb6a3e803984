"""The cells of workloads that last: deployments, replica sets, daemon sets, stateful sets and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from raftsman import errors, metadata, selectors, times
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

NONE = "<none>"


def deployment(obj: apps.Deployment, now: datetime) -> Sequence[str]:
    names, images = containers(obj.spec.template.spec)
    return (
        obj.metadata.name,
        f"{obj.status.ready_replicas}/{desired(obj.spec)}",
        str(obj.status.updated_replicas),
        str(obj.status.available_replicas),
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        selector(obj.spec.selector),
    )


def replica_set(obj: apps.ReplicaSet, now: datetime) -> Sequence[str]:
    names, images = containers(obj.spec.template.spec)
    return (
        obj.metadata.name,
        str(desired(obj.spec)),
        str(obj.status.replicas),
        str(obj.status.ready_replicas),
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        selector(obj.spec.selector),
    )


def desired(
    spec: apps.DeploymentSpec | apps.ReplicaSetSpec | apps.StatefulSetSpec | core.ReplicationControllerSpec,
) -> int:
    return spec.replicas if spec.HasField("replicas") else 1


def containers(spec: core.PodSpec) -> tuple[str, str]:
    """(names, images) of a template, each joined by commas."""
    return ",".join(c.name for c in spec.containers), ",".join(c.image for c in spec.containers)


def selector(found: meta.LabelSelector) -> str:
    try:
        return str(selectors.from_label_selector(found)) or NONE
    except errors.BadRequest:
        return "<error>"


def mapping(found: Mapping[str, str]) -> str:
    return ",".join(f"{key}={found[key]}" for key in sorted(found)) or NONE


def daemon_set(obj: apps.DaemonSet, now: datetime) -> Sequence[str]:
    names, images = containers(obj.spec.template.spec)
    status = obj.status
    return (
        obj.metadata.name,
        str(status.desired_number_scheduled),
        str(status.current_number_scheduled),
        str(status.number_ready),
        str(status.updated_number_scheduled),
        str(status.number_available),
        mapping(obj.spec.template.spec.node_selector),
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        selector(obj.spec.selector),
    )


def stateful_set(obj: apps.StatefulSet, now: datetime) -> Sequence[str]:
    names, images = containers(obj.spec.template.spec)
    return (
        obj.metadata.name,
        f"{obj.status.ready_replicas}/{desired(obj.spec)}",
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
    )


def controller_revision(obj: apps.ControllerRevision, now: datetime) -> Sequence[str]:
    owner = metadata.controller_of(obj)
    said = NONE
    if owner is not None:
        group = owner.api_version.rpartition("/")[0]
        said = f"{owner.kind.lower()}{f'.{group}' if group else ''}/{owner.name}"
    return obj.metadata.name, said, str(obj.revision), times.age(obj.metadata.creation_timestamp, now=now)


def replication_controller(obj: core.ReplicationController, now: datetime) -> Sequence[str]:
    names, images = containers(obj.spec.template.spec)
    return (
        obj.metadata.name,
        str(desired(obj.spec)),
        str(obj.status.replicas),
        str(obj.status.ready_replicas),
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        mapping(obj.spec.selector),
    )


def pod_template(obj: core.PodTemplate, now: datetime) -> Sequence[str]:
    names, images = containers(obj.template.spec)
    return obj.metadata.name, names, images, mapping(obj.template.metadata.labels)
