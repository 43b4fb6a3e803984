"""Deployments, replica sets, replication controllers and templates of pods."""

from __future__ import annotations

from raftsman import selectors
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import metadata, numbers, templates
from .causes import Causes

_TEMPLATE = "spec.template"
_DEPLOYMENT_STATUS = (
    "observed_generation", "replicas", "updated_replicas", "ready_replicas", "available_replicas",
    "unavailable_replicas", "terminating_replicas", "collision_count",
)  # fmt: skip
_REPLICA_STATUS = (
    "replicas", "fully_labeled_replicas", "ready_replicas", "available_replicas", "observed_generation",
)  # fmt: skip


def deployment(found: apps.Deployment, causes: Causes) -> None:
    spec = found.spec
    numbers.not_negative(
        spec, causes, path="spec",
        fields=("replicas", "min_ready_seconds", "revision_history_limit", "progress_deadline_seconds"),
    )  # fmt: skip
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        causes.invalid(
            "spec.progressDeadlineSeconds", spec.progress_deadline_seconds, "must be greater than minReadySeconds"
        )
    _selector(spec.HasField("selector"), spec.selector, spec.template, causes, of="deployment")
    _strategy(spec.strategy, causes)
    templates.lasting(spec.template, causes, path=_TEMPLATE, of="ReplicaSet")


def deployment_update(new: apps.Deployment, old: apps.Deployment, causes: Causes) -> None:
    if new.spec.selector != old.spec.selector:
        causes.changed("spec.selector", new.spec.selector)
    deployment(new, causes)


def deployment_status(new: apps.Deployment, old: apps.Deployment, causes: Causes) -> None:
    numbers.not_negative(new.status, causes, path="status", fields=_DEPLOYMENT_STATUS)
    parts = ("updated_replicas", "ready_replicas", "available_replicas")
    numbers.at_most(new.status, causes, path="status", fields=parts, limit="replicas")
    numbers.at_most(new.status, causes, path="status", fields=("available_replicas",), limit="ready_replicas")
    numbers.not_decremented(new.status, old.status, causes, path="status", field="collision_count")


def replica_set(found: apps.ReplicaSet, causes: Causes) -> None:
    spec = found.spec
    numbers.not_negative(spec, causes, path="spec", fields=("replicas", "min_ready_seconds"))
    _selector(spec.HasField("selector"), spec.selector, spec.template, causes, of="replicaset")
    templates.lasting(spec.template, causes, path=_TEMPLATE, of="ReplicaSet")


def replica_set_update(new: apps.ReplicaSet, old: apps.ReplicaSet, causes: Causes) -> None:
    if new.spec.selector != old.spec.selector:
        causes.changed("spec.selector", new.spec.selector)
    replica_set(new, causes)


def replica_set_status(
    new: apps.ReplicaSet | core.ReplicationController,
    old: apps.ReplicaSet | core.ReplicationController,
    causes: Causes,
) -> None:
    numbers.not_negative(new.status, causes, path="status", fields=_REPLICA_STATUS)
    parts = ("fully_labeled_replicas", "ready_replicas", "available_replicas")
    numbers.at_most(new.status, causes, path="status", fields=parts, limit="replicas")
    numbers.at_most(new.status, causes, path="status", fields=("available_replicas",), limit="ready_replicas")


def replication_controller(found: core.ReplicationController, causes: Causes) -> None:
    spec = found.spec
    numbers.not_negative(spec, causes, path="spec", fields=("min_ready_seconds",))
    if not spec.HasField("replicas"):
        causes.required("spec.replicas")
    numbers.not_negative(spec, causes, path="spec", fields=("replicas",))
    metadata.labels(spec.selector, causes, path="spec.selector")
    if not spec.selector:
        causes.required("spec.selector")
    if not spec.HasField("template"):
        causes.required(_TEMPLATE)
        return
    if spec.selector and not selectors.from_mapping(spec.selector).matches(spec.template.metadata.labels):
        causes.invalid(
            f"{_TEMPLATE}.metadata.labels", dict(spec.template.metadata.labels) or None,
            "`selector` does not match template `labels`",
        )  # fmt: skip
    templates.lasting(spec.template, causes, path=_TEMPLATE, of="ReplicationController")


def replication_controller_update(
    new: core.ReplicationController, old: core.ReplicationController, causes: Causes
) -> None:
    replication_controller(new, causes)


def pod_template(found: core.PodTemplate, causes: Causes) -> None:
    templates.template(found.template, causes, path="template")


def pod_template_update(new: core.PodTemplate, old: core.PodTemplate, causes: Causes) -> None:
    pod_template(new, causes)


def _selector(
    present: bool, selector: meta.LabelSelector, template: core.PodTemplateSpec, causes: Causes, *, of: str
) -> None:
    if not present:
        causes.required("spec.selector")
        return
    before = len(causes.found)
    metadata.label_selector(selector, causes, path="spec.selector")
    if templates.is_empty(selector):
        causes.invalid("spec.selector", selector, f"empty selector is invalid for {of}")
    elif len(causes.found) == before:
        templates.matching(selector, template, causes, path=_TEMPLATE)


def _strategy(found: apps.DeploymentStrategy, causes: Causes) -> None:
    path = "spec.strategy"
    if found.type == "Recreate":
        if found.HasField("rolling_update"):
            causes.forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif found.type == "RollingUpdate":
        rolling, at = found.rolling_update, f"{path}.rollingUpdate"
        unavailable = numbers.amount(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")
        surge = numbers.amount(rolling.max_surge, causes, path=f"{at}.maxSurge")
        if surge == 0 and unavailable == 0:
            causes.invalid(f"{at}.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")
        numbers.at_most_all(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")
    else:
        causes.not_supported(f"{path}.type", found.type, ("Recreate", "RollingUpdate"))
