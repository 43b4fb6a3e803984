"""Events: the old ones of the core group, which say little for sure, and those of events.k8s.io."""

from __future__ import annotations

from raftsman import times
from raftsman.core import v1 as core
from raftsman.events import v1 as events

from . import names
from .causes import Causes

WORD_MAX = 128
NOTE_MAX = 1024
_TYPES = ("Normal", "Warning")
# What an update may not change, in Python names.
_FIXED = (
    "regarding", "reason", "note", "deprecated_source", "deprecated_first_timestamp", "deprecated_last_timestamp",
    "deprecated_count", "type", "reporting_controller", "reporting_instance", "action",
)  # fmt: skip


def event(found: core.Event, causes: Causes) -> None:
    """An event with an eventTime is one of the new kind, and says who reports what."""
    about, namespace = found.involved_object.namespace, found.metadata.namespace
    if times.is_zero(found.event_time):
        if about != namespace and not (not about and namespace == "default"):
            causes.invalid("involvedObject.namespace", about, "does not match event.namespace")
        return
    if not about and namespace not in ("default", "kube-system"):
        causes.invalid("involvedObject.namespace", about, "does not match event.namespace")
    _reporter(found.reporting_component, causes, path="reportingComponent")
    for word, value in (
        ("reportingInstance", found.reporting_instance), ("action", found.action), ("reason", found.reason),
    ):  # fmt: skip
        if not value:
            causes.required(word)
        if len(value) > WORD_MAX:
            causes.invalid(word, "", f"can have at most {WORD_MAX} characters")
    if len(found.message) > NOTE_MAX:
        causes.invalid("message", "", f"can have at most {NOTE_MAX} characters")


def event_update(new: core.Event, old: core.Event, causes: Causes) -> None:
    event(new, causes)


def _reporter(name: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(path)
    for wrong in names.qualified(name):
        causes.invalid(path, name, wrong)


def new_event(found: events.Event, causes: Causes) -> None:
    """What events.k8s.io asks beyond what holds for every event with a time."""
    if times.is_zero(found.event_time):
        causes.required("eventTime")
    if found.type not in _TYPES:
        causes.invalid("type", "", f"has invalid value: {found.type}")
    for field, word in (
        ("deprecated_first_timestamp", "firstTimestamp"), ("deprecated_last_timestamp", "lastTimestamp"),
    ):  # fmt: skip
        if not times.is_zero(getattr(found, field)):
            causes.invalid(word, "", "needs to be unset")
    if found.deprecated_count:
        causes.invalid("count", "", "needs to be unset")
    if found.deprecated_source.component or found.deprecated_source.host:
        causes.invalid("source", "", "needs to be unset")
    _series(found, causes)


def _series(found: events.Event, causes: Causes) -> None:
    if not found.HasField("series"):
        return
    if found.series.count < 2:
        causes.invalid("series.count", "", "should be at least 2")
    if times.is_zero(found.series.last_observed_time):
        causes.required("series.lastObservedTime")


def changed_event(new: events.Event, old: events.Event, causes: Causes) -> None:
    """Only its series goes on; an event of the old kind stays one."""
    for field in _FIXED:
        if getattr(new, field) != getattr(old, field):
            path = new.DESCRIPTOR.fields_by_name[field].json_name
            causes.changed(path, getattr(new, field))
    if new.event_time != old.event_time:
        causes.changed("eventTime", new.event_time)
    _series(new, causes)
