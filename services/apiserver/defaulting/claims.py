"""Default values of volumes and of claims of storage."""

from __future__ import annotations

from raftsman.core import v1 as core

from . import quantities

MODE = "Filesystem"


def claim_spec(spec: core.PersistentVolumeClaimSpec) -> None:
    quantities.canonical(spec.resources.requests)
    quantities.canonical(spec.resources.limits)
    if not spec.HasField("volume_mode"):
        spec.volume_mode = MODE


def claim(found: core.PersistentVolumeClaim) -> None:
    claim_spec(found.spec)
    found.status.phase = found.status.phase or "Pending"
    quantities.canonical(found.status.capacity)
    quantities.canonical(found.status.allocated_resources)
    _sources(found.spec)


def _sources(spec: core.PersistentVolumeClaimSpec) -> None:
    """`dataSource` and `dataSourceRef` say the same, whichever was given; only the second names a namespace."""
    if spec.HasField("data_source") and not spec.HasField("data_source_ref"):
        source = spec.data_source
        spec.data_source_ref.kind, spec.data_source_ref.name = source.kind, source.name
        if source.HasField("api_group"):
            spec.data_source_ref.api_group = source.api_group
    elif spec.HasField("data_source_ref") and not spec.HasField("data_source") and not spec.data_source_ref.namespace:
        reference = spec.data_source_ref
        spec.data_source.kind, spec.data_source.name = reference.kind, reference.name
        if reference.HasField("api_group"):
            spec.data_source.api_group = reference.api_group


def new_claim(found: core.PersistentVolumeClaim) -> None:
    """A new one waits for its volume."""
    found.status.Clear()
    found.status.phase = "Pending"


def claim_template(found: core.PersistentVolumeClaim) -> None:
    """A claim inside a stateful set, which shows its kind."""
    claim_spec(found.spec)
    found.status.phase = found.status.phase or "Pending"
