"""Default values of apps/v1, replication controllers and templates of pods."""

from __future__ import annotations

from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import claims, pods

REVISIONS_KEPT = 10
PROGRESS_DEADLINE_S = 600
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_QUARTER = "25%"
_STRING = 1


def _amount(found: meta.IntOrString, value: int | str) -> None:
    if isinstance(value, str):
        found.type, found.str_val = _STRING, value
    else:
        found.type, found.int_val = 0, value


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
            _amount(rolling.max_unavailable, _QUARTER)
        if not rolling.HasField("max_surge"):
            _amount(rolling.max_surge, _QUARTER)
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = REVISIONS_KEPT
    if not spec.HasField("progress_deadline_seconds"):
        spec.progress_deadline_seconds = PROGRESS_DEADLINE_S


def replica_set(found: apps.ReplicaSet) -> None:
    if not found.spec.HasField("replicas"):
        found.spec.replicas = 1
    pods.template(found.spec.template)


def daemon_set(found: apps.DaemonSet) -> None:
    spec = found.spec
    pods.template(spec.template)
    strategy = spec.update_strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rolling_update
        if not rolling.HasField("max_unavailable"):
            _amount(rolling.max_unavailable, 1)
        if not rolling.HasField("max_surge"):
            _amount(rolling.max_surge, 0)
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = REVISIONS_KEPT


def new_daemon_set(found: apps.DaemonSet) -> None:
    found.ClearField("status")
    found.metadata.annotations[TEMPLATE_GENERATION] = "1"


def daemon_set_update(new: apps.DaemonSet, old: apps.DaemonSet) -> None:
    """The annotation counts changes of the template, as clients of older versions expect."""
    before = old.metadata.annotations.get(TEMPLATE_GENERATION, "1")
    count = int(before) if before.isdigit() else 1
    changed = apps.DaemonSet()
    changed.CopyFrom(new)
    daemon_set(changed)
    if changed.spec.template != old.spec.template:
        count += 1
    new.metadata.annotations[TEMPLATE_GENERATION] = str(count)


def stateful_set(found: apps.StatefulSet) -> None:
    spec = found.spec
    spec.pod_management_policy = spec.pod_management_policy or "OrderedReady"
    strategy = spec.update_strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate" and not strategy.rolling_update.HasField("partition"):
        strategy.rolling_update.partition = 0
    retention = spec.persistent_volume_claim_retention_policy
    retention.when_deleted = retention.when_deleted or "Retain"
    retention.when_scaled = retention.when_scaled or "Retain"
    if not spec.HasField("replicas"):
        spec.replicas = 1
    if not spec.HasField("revision_history_limit"):
        spec.revision_history_limit = REVISIONS_KEPT
    pods.template(spec.template)
    for claim in spec.volume_claim_templates:
        claims.claim_template(claim)


def replication_controller(found: core.ReplicationController) -> None:
    """Its template's labels are its own and its selector's, where it has none."""
    spec = found.spec
    labels = spec.template.metadata.labels if spec.HasField("template") else {}
    if not spec.selector:
        spec.selector.update(labels)
    if not found.metadata.labels:
        found.metadata.labels.update(labels)
    if not spec.HasField("replicas"):
        spec.replicas = 1
    if spec.HasField("template"):
        pods.template(spec.template)


def pod_template(found: core.PodTemplate) -> None:
    pods.template(found.template)
