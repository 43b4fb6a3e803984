"""Default values of apps/v1, and what a client may not say of a workload's state."""

from __future__ import annotations

from raftsman.apps import v1 as apps

from . import pods

REVISIONS_KEPT = 10
PROGRESS_DEADLINE_S = 600
_QUARTER = "25%"
_STRING = 1


def deployment(found: apps.Deployment) -> None:
    spec = found.spec
    if not spec.HasField("replicas"):
        spec.replicas = 1
    pods.template(spec.template)
    strategy = spec.strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rolling_update
        if not rolling.HasField("max_unavailable"):
            rolling.max_unavailable.type, rolling.max_unavailable.str_val = _STRING, _QUARTER
        if not rolling.HasField("max_surge"):
            rolling.max_surge.type, rolling.max_surge.str_val = _STRING, _QUARTER
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = REVISIONS_KEPT
    if not spec.HasField("progress_deadline_seconds"):
        spec.progress_deadline_seconds = PROGRESS_DEADLINE_S


def replica_set(found: apps.ReplicaSet) -> None:
    if not found.spec.HasField("replicas"):
        found.spec.replicas = 1
    pods.template(found.spec.template)
