"""Jobs, cron jobs and autoscalers, described."""

from __future__ import annotations

from typing import Any

from raftsman import conversion, times
from raftsman.autoscaling import v2 as autoscaling
from raftsman.batch import v1 as batch
from raftsman.metadata import controller_of
from raftsman.printers import autoscaling as autoscalers
from raftsman.printers import workloads

from .templates import template_section
from .text import NONE, Text, conditions, head, moment

UNSET = "<unset>"


def job(text: Text, obj: batch.Job) -> None:
    head(text, obj)
    spec, status = obj.spec, obj.status
    text.field("Selector", workloads.selector(spec.selector))
    owner = controller_of(obj)
    if owner is not None:
        text.field("Controlled By", f"{owner.kind}/{owner.name}")
    _job_spec(text, spec)
    if status.HasField("start_time"):
        text.field("Start Time", moment(status.start_time))
    if status.HasField("completion_time"):
        text.field("Completed At", moment(status.completion_time))
        text.field("Duration", times.human_duration(status.completion_time.seconds - status.start_time.seconds))
    if spec.HasField("active_deadline_seconds"):
        text.field("Active Deadline Seconds", f"{spec.active_deadline_seconds}s")
    active = f"{status.active}" + (f" ({status.ready} Ready)" if status.HasField("ready") else "")
    text.field("Pods Statuses", f"{active} / {status.succeeded} Succeeded / {status.failed} Failed")
    if spec.completion_mode == "Indexed":
        text.field("Completed Indexes", status.completed_indexes or NONE)
    template_section(text, spec.template)


def _job_spec(text: Text, spec: batch.JobSpec) -> None:
    text.field("Parallelism", spec.parallelism if spec.HasField("parallelism") else UNSET)
    text.field("Completions", spec.completions if spec.HasField("completions") else UNSET)
    if spec.HasField("completion_mode"):
        text.field("Completion Mode", spec.completion_mode)
    if spec.HasField("suspend"):
        text.field("Suspend", _word(spec.suspend))
    if spec.HasField("backoff_limit"):
        text.field("Backoff Limit", spec.backoff_limit)
    if spec.HasField("ttl_seconds_after_finished"):
        text.field("TTL Seconds After Finished", spec.ttl_seconds_after_finished)


def _word(value: bool) -> str:
    return "true" if value else "false"


def cron_job(text: Text, obj: batch.CronJob) -> None:
    head(text, obj)
    spec, status = obj.spec, obj.status
    text.field("Schedule", spec.schedule)
    if spec.HasField("time_zone"):
        text.field("Time Zone", spec.time_zone)
    text.field("Concurrency Policy", spec.concurrency_policy)
    text.field("Suspend", str(spec.suspend) if spec.HasField("suspend") else UNSET)
    for label, field in (
        ("Successful Job History Limit", "successful_jobs_history_limit"),
        ("Failed Job History Limit", "failed_jobs_history_limit"),
    ):
        text.field(label, getattr(spec, field) if spec.HasField(field) else UNSET)  # type: ignore[arg-type]
    deadline = f"{spec.starting_deadline_seconds}s" if spec.HasField("starting_deadline_seconds") else UNSET
    text.field("Starting Deadline Seconds", deadline)
    template = spec.job_template.spec
    text.field("Selector", workloads.selector(template.selector) if template.HasField("selector") else UNSET)
    text.field("Parallelism", template.parallelism if template.HasField("parallelism") else UNSET)
    text.field("Completions", template.completions if template.HasField("completions") else UNSET)
    template_section(text, template.template)
    text.field("Last Schedule Time", moment(status.last_schedule_time))
    text.field("Active Jobs", ", ".join(one.name for one in status.active) or NONE)


def autoscaler(text: Text, obj: Any) -> None:
    """Of either version."""
    found: autoscaling.HorizontalPodAutoscaler = conversion.stored(obj)
    head(text, found)
    spec, status = found.spec, found.status
    text.field("CreationTimestamp", moment(found.metadata.creation_timestamp))
    text.field("Reference", f"{spec.scale_target_ref.kind}/{spec.scale_target_ref.name}")
    text.field("Metrics", f"( current / target )\n{autoscalers.metrics(found)}")
    text.field("Min replicas", spec.min_replicas if spec.HasField("min_replicas") else UNSET)
    text.field("Max replicas", spec.max_replicas)
    for label, given, rules in (
        ("Scale Up", spec.behavior.HasField("scale_up"), spec.behavior.scale_up),
        ("Scale Down", spec.behavior.HasField("scale_down"), spec.behavior.scale_down),
    ):
        if given:
            _rules(text, label, rules)
    kind = spec.scale_target_ref.kind
    text.field(f"{kind} pods", f"{status.current_replicas} current / {status.desired_replicas} desired")
    conditions(text, status.conditions, ("Type", "Status", "Reason", "Message"))


def _rules(text: Text, label: str, rules: autoscaling.HPAScalingRules) -> None:
    text.heading(label)
    if rules.HasField("stabilization_window_seconds"):
        text.field("Stabilization Window", f"{rules.stabilization_window_seconds} seconds", 1)
    text.field("Select Policy", rules.select_policy, 1)
    text.heading("Policies", 1)
    for policy in rules.policies:
        text.line(f"- Type: {policy.type}  Value: {policy.value}  Period: {policy.period_seconds} seconds", 2)
