"""Jobs and cron jobs as they are created and changed. Their status: job_status.py; their policies: job_policies.py."""

from __future__ import annotations

import re
import zoneinfo

from raftsman import errors, selectors
from raftsman.batch import v1 as batch
from raftsman.core import v1 as core

from . import job_policies, metadata, names, numbers, schedules, templates
from .causes import Causes

INDEXED, NOT_INDEXED = "Indexed", "NonIndexed"
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
_COUNTS = (
    "parallelism", "completions", "active_deadline_seconds", "backoff_limit", "ttl_seconds_after_finished",
    "backoff_limit_per_index", "max_failed_indexes",
)  # fmt: skip
_INDEXED_MAX = 100_000
_MANY_COMPLETIONS = 100_000
_WITH_MANY_MAX = 10_000
_MANAGER_MAX = 63
_CRON_NAME_MAX = 52
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_TEMPLATE = "spec.template"
_ZONE_PART = re.compile(r"[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}")


def job(found: batch.Job, causes: Causes) -> None:
    _generated_selector(found, causes)
    job_spec(found.spec, causes, path="spec")
    _selector(found.spec, causes)
    if found.spec.completion_mode == INDEXED and found.spec.completions > 0:
        last = f"{found.metadata.name}-{found.spec.completions - 1}"
        if names.dns_label(last):
            causes.invalid(
                "metadata.name", found.metadata.name, f"will not able to create pod with invalid DNS label: {last}"
            )


def _generated_selector(found: batch.Job, causes: Causes) -> None:
    """A selector that the server made finds only what the server labelled."""
    spec, metadata_ = found.spec, found.metadata
    if spec.manual_selector or not spec.HasField("selector"):
        return
    wanted = {**dict.fromkeys(UID_LABELS, metadata_.uid), **dict.fromkeys(NAME_LABELS, metadata_.name)}
    labels = spec.template.metadata.labels
    for key, value in wanted.items():
        if key not in labels:
            causes.required(f"{_TEMPLATE}.metadata.labels[{key}]", f"must be '{value}'")
        elif labels[key] != value:
            causes.invalid(f"{_TEMPLATE}.metadata.labels[{key}]", labels[key], f"must be '{value}'")
    try:
        generated = selectors.from_label_selector(spec.selector).matches(wanted)
    except errors.BadRequest:
        return
    if not generated:
        causes.invalid("spec.selector", spec.selector, "`selector` not auto-generated")


def _selector(spec: batch.JobSpec, causes: Causes) -> None:
    if not spec.HasField("selector"):
        causes.required("spec.selector")
        return
    metadata.label_selector(spec.selector, causes, path="spec.selector")
    templates.matching(spec.selector, spec.template, causes, path=_TEMPLATE)


def job_spec(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    """Of a job or of a template of jobs."""
    numbers.not_negative(spec, causes, path=path, fields=_COUNTS)
    if spec.HasField("max_failed_indexes") and not spec.HasField("backoff_limit_per_index"):
        causes.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    _manager(spec, causes, path=f"{path}.managedBy")
    if spec.completion_mode == INDEXED:
        _indexed(spec, causes, path=path)
    else:
        _not_indexed(spec, causes, path=path)
    if spec.HasField("pod_failure_policy"):
        job_policies.failure(spec, causes, path=f"{path}.podFailurePolicy")
    if spec.HasField("success_policy"):
        job_policies.success(spec, causes, path=f"{path}.successPolicy", indexed=spec.completion_mode == INDEXED)
    job_policies.replacement(spec, causes, path=f"{path}.podReplacementPolicy")
    templates.template(spec.template, causes, path=f"{path}.template")
    _restart(spec, causes, path=f"{path}.template.spec.restartPolicy")


def _manager(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    if not spec.HasField("managed_by"):
        return
    manager = spec.managed_by
    for wrong in names.domain_prefixed_path(manager):
        causes.invalid(path, manager, wrong)
    if len(manager) > _MANAGER_MAX:
        causes.too_long(path, _MANAGER_MAX)


def _indexed(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    if not spec.HasField("completions"):
        causes.required(f"{path}.completions", f"when completion mode is {INDEXED}")
    if spec.parallelism > _INDEXED_MAX:
        why = f"must be less than or equal to {_INDEXED_MAX} when completion mode is {INDEXED}"
        causes.invalid(f"{path}.parallelism", spec.parallelism, why)
    at, failed = f"{path}.maxFailedIndexes", spec.max_failed_indexes
    if spec.HasField("completions") and failed > spec.completions:
        causes.invalid(at, failed, "must be less than or equal to completions")
    if failed > _INDEXED_MAX:
        causes.invalid(at, failed, f"must be less than or equal to {_INDEXED_MAX}")
    if spec.completions > _MANY_COMPLETIONS and spec.HasField("backoff_limit_per_index"):
        _many_completions(spec, causes, path=path)


def _many_completions(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    if not spec.HasField("max_failed_indexes"):
        causes.required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {_MANY_COMPLETIONS}")
    for word, value in (("parallelism", spec.parallelism), ("maxFailedIndexes", spec.max_failed_indexes)):
        if value > _WITH_MANY_MAX:
            causes.invalid(
                f"{path}.{word}", value,
                f"must be less than or equal to {_WITH_MANY_MAX} when completions are above {_MANY_COMPLETIONS} and "
                "used with backoff limit per index",
            )  # fmt: skip


def _not_indexed(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    if spec.HasField("completion_mode") and spec.completion_mode != NOT_INDEXED:
        causes.not_supported(f"{path}.completionMode", spec.completion_mode, (INDEXED, NOT_INDEXED))
        return
    for field in ("backoff_limit_per_index", "max_failed_indexes"):
        if spec.HasField(field):
            at = f"{path}.{numbers.json_name(spec, field)}"
            causes.invalid(at, getattr(spec, field), "requires indexed completion mode")


def _restart(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    policy = spec.template.spec.restart_policy
    if policy in ("", "Always"):
        causes.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        return
    elif spec.HasField("pod_failure_policy") and policy != "Never":
        causes.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def update(new: batch.Job, old: batch.Job, causes: Causes) -> None:
    job_spec(new.spec, causes, path="spec")
    _selector(new.spec, causes)
    _completions(new.spec, old.spec, causes)
    _template(new, old, causes)
    for field in (
        "selector", "completion_mode", "pod_failure_policy", "backoff_limit_per_index", "managed_by", "success_policy",
    ):  # fmt: skip
        ours, theirs = (getattr(one, field) if one.HasField(field) else None for one in (new.spec, old.spec))
        if ours != theirs:
            causes.changed(f"spec.{numbers.json_name(new.spec, field)}", ours)


def _completions(new: batch.JobSpec, old: batch.JobSpec, causes: Causes) -> None:
    """An indexed job grows and shrinks by completions and parallelism together."""
    if new.completions == old.completions and new.HasField("completions") == old.HasField("completions"):
        return
    if new.completion_mode != INDEXED:
        causes.changed("spec.completions", new.completions if new.HasField("completions") else None)
    elif new.HasField("completions") and new.completions != new.parallelism:
        causes.invalid("spec.completions", new.completions, "can only be modified in tandem with spec.parallelism")


def _template(new: batch.Job, old: batch.Job, causes: Causes) -> None:
    """What says where pods go may change while a job is suspended and has not started."""
    before = core.PodTemplateSpec()
    before.CopyFrom(old.spec.template)
    ours = new.spec.template
    if old.spec.suspend and not old.status.HasField("start_time"):
        _take_placement(before, ours)
    if ours != before:
        causes.changed(_TEMPLATE, ours)


def _take_placement(before: core.PodTemplateSpec, ours: core.PodTemplateSpec) -> None:
    for field in ("node_selector", "tolerations", "scheduling_gates"):
        before.spec.ClearField(field)
    before.spec.node_selector.update(ours.spec.node_selector)
    before.spec.tolerations.extend(ours.spec.tolerations)
    before.spec.scheduling_gates.extend(ours.spec.scheduling_gates)
    for field in ("labels", "annotations"):
        before.metadata.ClearField(field)  # type: ignore[arg-type]
        getattr(before.metadata, field).update(getattr(ours.metadata, field))
    if before.spec.HasField("affinity"):
        before.spec.affinity.ClearField("node_affinity")
        if not before.spec.affinity.ListFields():
            before.spec.ClearField("affinity")
    if ours.spec.affinity.HasField("node_affinity"):
        before.spec.affinity.node_affinity.CopyFrom(ours.spec.affinity.node_affinity)
    elif ours.spec.HasField("affinity"):
        before.spec.affinity.SetInParent()


# Cron jobs


def cron_job(found: batch.CronJob, causes: Causes) -> None:
    _cron_spec(found.spec, causes)
    _time_zone(found.spec, causes)
    if len(found.metadata.name) > _CRON_NAME_MAX:
        causes.invalid("metadata.name", found.metadata.name, f"must be no more than {_CRON_NAME_MAX} characters")


def cron_job_update(new: batch.CronJob, old: batch.CronJob, causes: Causes) -> None:
    _cron_spec(new.spec, causes, zone_allowed="TZ" in old.spec.schedule)
    if new.spec.time_zone != old.spec.time_zone or not old.spec.HasField("time_zone"):
        _time_zone(new.spec, causes)


def _cron_spec(spec: batch.CronJobSpec, causes: Causes, *, zone_allowed: bool = False) -> None:
    if not spec.schedule:
        causes.required("spec.schedule")
    else:
        _schedule(spec, causes, zone_allowed=zone_allowed)
    numbers.not_negative(
        spec, causes, path="spec",
        fields=("starting_deadline_seconds", "successful_jobs_history_limit", "failed_jobs_history_limit"),
    )  # fmt: skip
    if spec.concurrency_policy not in _CONCURRENCY:
        causes.not_supported("spec.concurrencyPolicy", spec.concurrency_policy, _CONCURRENCY)
    template = spec.job_template.spec
    path = "spec.jobTemplate.spec"
    job_spec(template, causes, path=path)
    if template.HasField("selector"):
        causes.invalid(f"{path}.selector", template.selector, "`selector` will be auto-generated")
    if template.manual_selector:
        causes.not_supported(f"{path}.manualSelector", template.manual_selector, ("nil", "false"))


def _schedule(spec: batch.CronJobSpec, causes: Causes, *, zone_allowed: bool) -> None:
    path, schedule = "spec.schedule", spec.schedule
    wrong = schedules.problem(schedule)
    if wrong:
        causes.invalid(path, schedule, wrong)
    if "TZ" not in schedule:
        return
    if not zone_allowed:
        causes.invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif spec.HasField("time_zone"):
        causes.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _time_zone(spec: batch.CronJobSpec, causes: Causes) -> None:
    if not spec.HasField("time_zone"):
        return
    path, zone = "spec.timeZone", spec.time_zone
    if not zone:
        causes.invalid(path, zone, "timeZone must be nil or non-empty string")
    elif any(part in (".", "..") or not _ZONE_PART.fullmatch(part) for part in zone.split("/")):
        causes.invalid(path, zone, f"unknown time zone {zone}")
    elif zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        causes.invalid(path, zone, why)
    elif not _is_zone(zone):
        causes.invalid(path, zone, f"unknown time zone {zone}")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
