"""Workloads: the groups apps and batch."""

from __future__ import annotations

from raftsman.apps import v1 as apps
from raftsman.batch import v1 as batch
from raftsman.services.apiserver import selectable
from raftsman.services.apiserver.defaulting import workloads as workload_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names, workloads

from .declaring import WITH_STATUS, drop_status, kind


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        kind(
            apps.Deployment, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=workload_defaults.deployment, prepare_create=drop_status,
            validate=workloads.deployment, validate_update=workloads.deployment_update,
        ),
        kind(
            apps.ReplicaSet, name_rule=names.dns_subdomain, has_status=True, has_generation=True,
            default=workload_defaults.replica_set, prepare_create=drop_status,
            selectable=selectable.REPLICA_SET, fields_of=selectable.replica_set,
            validate=workloads.replica_set, validate_update=workloads.replica_set_update,
        ),
        kind(apps.ControllerRevision, name_rule=names.dns_subdomain),
        kind(apps.DaemonSet, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(apps.StatefulSet, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(batch.CronJob, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
        kind(batch.Job, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True),
    )  # fmt: skip
