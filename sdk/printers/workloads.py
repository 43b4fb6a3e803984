"""The cells of deployments and replica sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import errors, selectors, times
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


def desired(spec: apps.DeploymentSpec | apps.ReplicaSetSpec) -> int:
    return spec.replicas if spec.HasField("replicas") else 1


def containers(spec: core.PodSpec) -> tuple[str, str]:
    """(names, images) of a template, each joined by commas."""
    return ",".join(c.name for c in spec.containers), ",".join(c.image for c in spec.containers)


def selector(found: meta.LabelSelector) -> str:
    try:
        return str(selectors.from_label_selector(found)) or NONE
    except errors.BadRequest:
        return "<error>"
