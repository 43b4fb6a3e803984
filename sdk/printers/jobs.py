"""The cells of jobs and cron jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.batch import v1 as batch

from . import workloads

NONE = "<none>"
# The first of these conditions that is true is the status; being deleted comes after what has ended.
_ENDED = ("Complete", "Failed")
_GOING = (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"))


def job(obj: batch.Job, now: datetime) -> Sequence[str]:
    names, images = workloads.containers(obj.spec.template.spec)
    return (
        obj.metadata.name,
        status(obj),
        completions(obj),
        duration(obj, now),
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        workloads.selector(obj.spec.selector),
    )


def status(obj: batch.Job) -> str:
    true = {one.type for one in obj.status.conditions if one.status == "True"}
    for word in _ENDED:
        if word in true:
            return word
    if obj.metadata.HasField("deletion_timestamp"):
        return "Terminating"
    return next((word for type_, word in _GOING if type_ in true), "Running")


def completions(obj: batch.Job) -> str:
    done, spec = obj.status.succeeded, obj.spec
    if spec.HasField("completions"):
        return f"{done}/{spec.completions}"
    return f"{done}/1 of {spec.parallelism}" if spec.parallelism > 1 else f"{done}/1"


def duration(obj: batch.Job, now: datetime) -> str:
    if not obj.status.HasField("start_time"):
        return ""
    ended = obj.status.completion_time.seconds if obj.status.HasField("completion_time") else now.timestamp()
    return times.human_duration(ended - obj.status.start_time.seconds)


def cron_job(obj: batch.CronJob, now: datetime) -> Sequence[str]:
    template = obj.spec.job_template.spec
    names, images = workloads.containers(template.template.spec)
    last = obj.status.last_schedule_time
    return (
        obj.metadata.name,
        obj.spec.schedule,
        obj.spec.time_zone if obj.spec.HasField("time_zone") else NONE,
        str(obj.spec.suspend) if obj.spec.HasField("suspend") else "<unset>",
        str(len(obj.status.active)),
        times.age(last, now=now) if obj.status.HasField("last_schedule_time") else NONE,
        times.age(obj.metadata.creation_timestamp, now=now),
        names,
        images,
        workloads.selector(template.selector) if template.HasField("selector") else NONE,
    )
