"""Default values of volumes and of claims of storage."""

from __future__ import annotations

from raftsman import times
from raftsman.core import v1 as core

from . import quantities, sources

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


def volume(found: core.PersistentVolume) -> None:
    spec = found.spec
    spec.persistent_volume_reclaim_policy = spec.persistent_volume_reclaim_policy or "Retain"
    if not spec.HasField("volume_mode"):
        spec.volume_mode = MODE
    found.status.phase = found.status.phase or "Pending"
    quantities.canonical(spec.capacity)
    for _, source in spec.persistent_volume_source.ListFields():
        sources.source(source)


def new_volume(found: core.PersistentVolume) -> None:
    found.status.Clear()
    found.status.phase = "Pending"
    found.status.last_phase_transition_time.CopyFrom(times.now())


def volume_status(new: core.PersistentVolume, old: core.PersistentVolume) -> None:
    """When the phase last changed is the server's to say, unless the writer says it."""
    if new.status.phase == old.status.phase:
        new.status.ClearField("last_phase_transition_time")
        if old.status.HasField("last_phase_transition_time"):
            new.status.last_phase_transition_time.CopyFrom(old.status.last_phase_transition_time)
    elif new.status.last_phase_transition_time == old.status.last_phase_transition_time:
        new.status.last_phase_transition_time.CopyFrom(times.now())
