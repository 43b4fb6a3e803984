"""What a job's status may say: it agrees with itself, and what has ended stays ended."""

from __future__ import annotations

from collections.abc import Iterable

from raftsman.batch import v1 as batch

from . import indexes, numbers
from .causes import OMITTED, Causes

_CONDITIONS = "status.conditions"
# Both of a pair may not be true.
_EXCLUDING = (
    ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
    ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
    ("SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ("SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
)
# The first needs the second.
_NEEDING = (
    ("Failed", "FailureTarget", "cannot set Failed=True condition without the FailureTarget=true condition"),
    ("Complete", "SuccessCriteriaMet",
     "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
)  # fmt: skip


def status(new: batch.Job, old: batch.Job, causes: Causes) -> None:
    now, before = true_conditions(new.status), true_conditions(old.status)
    numbers.not_negative(
        new.status, causes, path="status", fields=("active", "succeeded", "failed", "ready", "terminating")
    )
    _uncounted(new.status, causes)
    if new.status != old.status:
        _conditions(now, before, causes)
        _times(new, old, causes, complete="Complete" in now)
        _counts(new.status, old.status, causes)
        if now & {"Complete", "Failed"}:
            _finished(new.status, causes)
        _indexes(new, causes)


def true_conditions(status_: batch.JobStatus) -> set[str]:
    return {one.type for one in status_.conditions if one.status == "True"}


def _uncounted(found: batch.JobStatus, causes: Causes) -> None:
    path, seen = "status.uncountedTerminatedPods", set[str]()
    for word, listed in _listed(found.uncounted_terminated_pods):
        for index, uid in enumerate(listed):
            at = f"{path}.{word}[{index}]"
            if not uid:
                causes.invalid(at, uid, "must not be empty")
            elif uid in seen:
                causes.duplicate(at, uid)
            seen.add(uid)


def _listed(found: batch.UncountedTerminatedPods) -> Iterable[tuple[str, Iterable[str]]]:
    return ("succeeded", found.succeeded), ("failed", found.failed)


def _conditions(now: set[str], before: set[str], causes: Causes) -> None:
    for one, other, why in _EXCLUDING:
        if {one, other} <= now:
            causes.invalid(_CONDITIONS, OMITTED, why)
    for one, other, why in _NEEDING:
        if one in now and one not in before and other not in now:
            causes.invalid(_CONDITIONS, OMITTED, why)
    for one in ("Failed", "Complete", "FailureTarget"):
        if one in before and one not in now:
            causes.invalid(_CONDITIONS, OMITTED, f"cannot disable the terminal {one}=True condition")
    if "SuccessCriteriaMet" in before and "SuccessCriteriaMet" not in now:
        causes.invalid(_CONDITIONS, OMITTED, "cannot disable the SuccessCriteriaMet=True condition")


def _times(new: batch.Job, old: batch.Job, causes: Causes, *, complete: bool) -> None:
    found, before = new.status, old.status
    at, completed = "status.completionTime", found.HasField("completion_time")
    if completed and not complete:
        causes.invalid(at, found.completion_time, "cannot set completionTime when there is no Complete=True condition")
    if complete and not completed:
        causes.required(at, "completionTime is required for Complete jobs")
    if completed and found.HasField("start_time") and found.completion_time.seconds < found.start_time.seconds:
        causes.invalid(at, found.completion_time, "completionTime cannot be set before startTime")
    if completed and before.HasField("completion_time") and found.completion_time != before.completion_time:
        causes.invalid(at, found.completion_time, "completionTime cannot be mutated")
    if before.HasField("start_time") and found.start_time != before.start_time and not new.spec.suspend:
        causes.required("status.startTime", "startTime cannot be removed for unsuspended job")


def _counts(found: batch.JobStatus, before: batch.JobStatus, causes: Causes) -> None:
    for word in ("failed", "succeeded"):
        if getattr(found, word) < getattr(before, word):
            causes.invalid(f"status.{word}", getattr(found, word), f"cannot decrease the {word} counter")
    if found.ready > found.active:
        causes.invalid("status.ready", found.ready, "cannot set more ready pods than active")


def _finished(found: batch.JobStatus, causes: Causes) -> None:
    for word in ("active", "terminating"):
        if getattr(found, word) > 0:
            causes.invalid(f"status.{word}", getattr(found, word), f"{word}>0 is invalid for finished job")
    if not found.HasField("start_time"):
        causes.required("status.startTime", "startTime is required for finished job")
    if found.uncounted_terminated_pods.ListFields():
        causes.invalid(
            "status.uncountedTerminatedPods", found.uncounted_terminated_pods,
            "uncountedTerminatedPods needs to be empty for finished job",
        )  # fmt: skip


def _indexes(new: batch.Job, causes: Causes) -> None:
    spec, found = new.spec, new.status
    at_completed, at_failed = "status.completedIndexes", "status.failedIndexes"
    if found.completed_indexes and spec.completion_mode != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        causes.invalid(at_completed, found.completed_indexes, why)
    if found.HasField("failed_indexes") and not spec.HasField("backoff_limit_per_index"):
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        causes.invalid(at_failed, found.failed_indexes, why)
    if not spec.HasField("completions"):
        return
    readable = True
    for at, text, word in (
        (at_completed, found.completed_indexes, "completedIndexes"), (at_failed, found.failed_indexes, "failedIndexes"),
    ):  # fmt: skip
        try:
            indexes.count(text, spec.completions)
        except indexes.BadIndexes as bad:
            readable = False
            causes.invalid(at, text, f"error parsing {word}: {bad}")
    if readable:
        both = indexes.overlap(found.completed_indexes, found.failed_indexes, spec.completions)
        if both is not None:
            why = f"failedIndexes and completedIndexes overlap at index: {both}"
            causes.invalid(at_failed, found.failed_indexes, why)
