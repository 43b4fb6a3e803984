"""Workloads: the groups apps, batch and autoscaling."""

from __future__ import annotations

from raftsman.apps import v1 as apps
from raftsman.autoscaling import v1 as autoscaling_v1
from raftsman.autoscaling import v2 as autoscaling
from raftsman.batch import v1 as batch
from raftsman.conversion import autoscaling as autoscaling_conversion
from raftsman.services.apiserver import selectable
from raftsman.services.apiserver.defaulting import autoscaling as autoscaling_defaults
from raftsman.services.apiserver.defaulting import jobs as job_defaults
from raftsman.services.apiserver.defaulting import workloads as workload_defaults
from raftsman.services.apiserver.kinds import Kind, View
from raftsman.services.apiserver.validation import autoscaling as autoscalers
from raftsman.services.apiserver.validation import daemon_sets, job_status, jobs, names, stateful_sets, workloads

from .declaring import WITH_STATUS, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (*_apps(), *_batch())


def _apps() -> tuple[Kind, ...]:
    return (
        kind(
            apps.Deployment, name_rule=names.dns_subdomain, has_generation=True, **WITH_STATUS,
            default=workload_defaults.deployment, validate=workloads.deployment,
            validate_update=workloads.deployment_update, validate_status=workloads.deployment_status,
        ),
        kind(
            apps.ReplicaSet, name_rule=names.dns_subdomain, has_generation=True, **WITH_STATUS,
            default=workload_defaults.replica_set,
            selectable=selectable.REPLICA_SET, fields_of=selectable.replica_set,
            validate=workloads.replica_set, validate_update=workloads.replica_set_update,
            validate_status=workloads.replica_set_status,
        ),
        kind(
            apps.DaemonSet, name_rule=names.dns_subdomain, has_generation=True, has_status=True,
            default=workload_defaults.daemon_set, prepare_create=workload_defaults.new_daemon_set,
            prepare_update=workload_defaults.daemon_set_update, validate=daemon_sets.daemon_set,
            validate_update=daemon_sets.update, validate_status=daemon_sets.status,
        ),
        kind(
            apps.StatefulSet, name_rule=names.dns_subdomain, has_generation=True, **WITH_STATUS,
            default=workload_defaults.stateful_set, validate=stateful_sets.stateful_set,
            validate_update=stateful_sets.update, validate_status=stateful_sets.status,
        ),
        kind(
            apps.ControllerRevision, name_rule=names.dns_subdomain,
            validate=stateful_sets.revision, validate_update=stateful_sets.revision_update,
        ),
    )  # fmt: skip


def _batch() -> tuple[Kind, ...]:
    return (
        kind(
            batch.Job, name_rule=names.dns_subdomain, has_generation=True, has_status=True,
            default=job_defaults.job, prepare_create=job_defaults.new_job,
            selectable=selectable.JOB, fields_of=selectable.job,
            validate=jobs.job, validate_update=jobs.update, validate_status=job_status.status,
        ),
        kind(
            batch.CronJob, name_rule=names.dns_subdomain, has_generation=True, **WITH_STATUS,
            default=job_defaults.cron_job, validate=jobs.cron_job, validate_update=jobs.cron_job_update,
        ),
        kind(
            autoscaling.HorizontalPodAutoscaler, name_rule=names.dns_subdomain, **WITH_STATUS,
            default=autoscaling_defaults.autoscaler, validate=autoscalers.autoscaler,
            validate_update=autoscalers.update, validate_status=autoscalers.status,
        ),
    )  # fmt: skip


def autoscaler_v1(kinds: dict[str, Kind]) -> Kind:
    """autoscaling/v1, of the same objects."""
    stored = kinds["horizontalpodautoscalers.autoscaling"]
    view = View(autoscaling_conversion.to_stored, autoscaling_conversion.from_stored)
    return kind(
        autoscaling_v1.HorizontalPodAutoscaler,
        name_rule=names.dns_subdomain,
        has_status=True,
        storage=stored,
        view=view,
    )
