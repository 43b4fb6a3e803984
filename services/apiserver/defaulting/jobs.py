"""Default values of batch/v1, and the selector that the server makes for a job."""

from __future__ import annotations

from raftsman.batch import v1 as batch
from raftsman.services.apiserver.validation.jobs import NAME_LABELS, NOT_INDEXED, UID_LABELS

from . import pods

FAILURES_ALLOWED = 6
_UNLIMITED = 2**31 - 1
_KEPT_SUCCESSFUL, _KEPT_FAILED = 3, 1


def job(found: batch.Job) -> None:
    spec = found.spec
    if not spec.HasField("completions") and not spec.HasField("parallelism"):
        spec.completions = 1
    if not spec.HasField("parallelism"):
        spec.parallelism = 1
    if not spec.HasField("backoff_limit"):
        spec.backoff_limit = _UNLIMITED if spec.HasField("backoff_limit_per_index") else FAILURES_ALLOWED
    if not found.metadata.labels:
        found.metadata.labels.update(spec.template.metadata.labels)
    if not spec.HasField("completion_mode"):
        spec.completion_mode = NOT_INDEXED
    if not spec.HasField("suspend"):
        spec.suspend = False
    for rule in spec.pod_failure_policy.rules:
        for pattern in rule.on_pod_conditions:
            pattern.status = pattern.status or "True"
    if not spec.HasField("manual_selector"):
        spec.manual_selector = False
    if not spec.HasField("pod_replacement_policy"):
        spec.pod_replacement_policy = "Failed" if spec.HasField("pod_failure_policy") else "TerminatingOrFailed"
    pods.template(spec.template)


def new_job(found: batch.Job) -> None:
    """Unless the selector is the client's own, it finds the pods by the job's uid, and they are labelled so."""
    found.ClearField("status")
    if found.spec.manual_selector:
        return
    labels = found.spec.template.metadata.labels
    for key in NAME_LABELS:
        if key not in labels:
            labels[key] = found.metadata.name
    for key in UID_LABELS:
        if key not in labels:
            labels[key] = found.metadata.uid
    wanted = found.spec.selector.match_labels
    if UID_LABELS[1] not in wanted:
        wanted[UID_LABELS[1]] = found.metadata.uid


def cron_job(found: batch.CronJob) -> None:
    spec = found.spec
    spec.concurrency_policy = spec.concurrency_policy or "Allow"
    if not spec.HasField("suspend"):
        spec.suspend = False
    if not spec.HasField("successful_jobs_history_limit"):
        spec.successful_jobs_history_limit = _KEPT_SUCCESSFUL
    if not spec.HasField("failed_jobs_history_limit"):
        spec.failed_jobs_history_limit = _KEPT_FAILED
    pods.template(spec.job_template.spec.template)
