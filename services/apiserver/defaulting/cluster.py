"""Default values of namespaces, nodes, secrets and RBAC objects."""

from __future__ import annotations

from typing import Any

from raftsman.core import v1 as core
from raftsman.rbac import v1 as rbac

from . import quantities

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"
RBAC_GROUP = "rbac.authorization.k8s.io"


def namespace(found: core.Namespace) -> None:
    found.metadata.labels[NAME_LABEL] = found.metadata.name


def new_namespace(found: core.Namespace) -> None:
    """A new one is active, and held until the namespace controller has emptied it."""
    found.status.Clear()
    found.status.phase = "Active"
    if FINALIZER not in found.spec.finalizers:
        found.spec.finalizers.append(FINALIZER)


def namespace_update(new: core.Namespace, old: core.Namespace) -> None:
    """Finalizers of the spec change through Finalize alone."""
    new.spec.CopyFrom(old.spec)


def node_status(found: core.Node) -> None:
    quantities.canonical(found.status.capacity)
    quantities.canonical(found.status.allocatable)
    if not found.status.allocatable and found.status.capacity:
        for name, amount in found.status.capacity.items():
            found.status.allocatable[name].CopyFrom(amount)


def secret(found: core.Secret) -> None:
    """Plain text is stored as data, and wins over data of the same key."""
    found.type = found.type or "Opaque"
    for key, text in found.string_data.items():
        found.data[key] = text.encode()
    found.ClearField("string_data")


def binding(found: Any) -> None:
    found.role_ref.api_group = found.role_ref.api_group or RBAC_GROUP
    for subject in found.subjects:
        _subject(subject)


def _subject(subject: rbac.Subject) -> None:
    if not subject.api_group and subject.kind in ("User", "Group"):
        subject.api_group = RBAC_GROUP
