"""events.k8s.io/v1 Event, stored as v1 Event: the same facts under other names."""

from __future__ import annotations

from typing import Any

from raftsman.core import v1 as core
from raftsman.events import v1 as events

# The field in events.k8s.io/v1, and in v1.
_FIELDS = (
    ("metadata", "metadata"), ("event_time", "event_time"), ("reporting_controller", "reporting_component"),
    ("reporting_instance", "reporting_instance"), ("action", "action"), ("reason", "reason"),
    ("regarding", "involved_object"), ("related", "related"), ("note", "message"), ("type", "type"),
    ("deprecated_source", "source"), ("deprecated_first_timestamp", "first_timestamp"),
    ("deprecated_last_timestamp", "last_timestamp"), ("deprecated_count", "count"),
)  # fmt: skip


def to_stored(found: events.Event) -> core.Event:
    made = core.Event()
    for ours, theirs in _FIELDS:
        _copy(found, ours, made, theirs)
    _series(found, made)
    return made


def from_stored(found: core.Event) -> events.Event:
    made = events.Event()
    for ours, theirs in _FIELDS:
        _copy(found, theirs, made, ours)
    _series(found, made)
    return made


def _copy(source: Any, field: str, target: Any, as_: str) -> None:
    if not source.HasField(field):
        return
    value = getattr(source, field)
    if hasattr(value, "DESCRIPTOR"):
        getattr(target, as_).CopyFrom(value)
    else:
        setattr(target, as_, value)


def _series(source: Any, target: Any) -> None:
    if source.HasField("series"):
        target.series.SetInParent()
        for field in ("count", "last_observed_time"):
            _copy(source.series, field, target.series, field)
