"""Deployments and replica sets."""

from __future__ import annotations

import re

from raftsman.apps import v1 as apps
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import metadata, pods
from .causes import Causes

_STRING = 1
_NOT_NEGATIVE = "must be greater than or equal to 0"
_PERCENT = re.compile(r"[0-9]+%")


def deployment(found: apps.Deployment, causes: Causes) -> None:
    spec = found.spec
    _counts(
        causes,
        replicas=spec.replicas,
        minReadySeconds=spec.min_ready_seconds,
        revisionHistoryLimit=spec.revision_history_limit,
        progressDeadlineSeconds=spec.progress_deadline_seconds,
    )
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        causes.invalid(
            "spec.progressDeadlineSeconds", spec.progress_deadline_seconds, "must be greater than minReadySeconds"
        )
    _selector(spec.HasField("selector"), spec.selector, spec.template, causes)
    _strategy(spec.strategy, causes)
    _template(spec.template, causes)


def deployment_update(new: apps.Deployment, old: apps.Deployment, causes: Causes) -> None:
    if new.spec.selector != old.spec.selector:
        causes.changed("spec.selector", _shown(new.spec.selector))
    deployment(new, causes)


def replica_set(found: apps.ReplicaSet, causes: Causes) -> None:
    spec = found.spec
    _counts(causes, replicas=spec.replicas, minReadySeconds=spec.min_ready_seconds)
    _selector(spec.HasField("selector"), spec.selector, spec.template, causes, of="replicaset")
    _template(spec.template, causes)


def replica_set_update(new: apps.ReplicaSet, old: apps.ReplicaSet, causes: Causes) -> None:
    if new.spec.selector != old.spec.selector:
        causes.changed("spec.selector", _shown(new.spec.selector))
    replica_set(new, causes)


def _shown(selector: meta.LabelSelector) -> str:
    from raftsman import selectors

    return str(selectors.from_label_selector(selector))


def _counts(causes: Causes, **numbers: int) -> None:
    for word, value in numbers.items():
        if value < 0:
            causes.invalid(f"spec.{word}", value, _NOT_NEGATIVE)


def _selector(
    present: bool,
    selector: meta.LabelSelector,
    template: core.PodTemplateSpec,
    causes: Causes,
    *,
    of: str = "deployment",
) -> None:
    if not present:
        causes.required("spec.selector")
        return
    before = len(causes.found)
    metadata.label_selector(selector, causes, path="spec.selector")
    if not selector.match_labels and not selector.match_expressions:
        causes.invalid("spec.selector", "{}", f"empty selector is invalid for {of}")
    elif len(causes.found) == before:
        from raftsman import selectors

        if not selectors.from_label_selector(selector).matches(template.metadata.labels):
            causes.invalid(
                "spec.template.metadata.labels", _labels(template), "`selector` does not match template `labels`"
            )


def _labels(template: core.PodTemplateSpec) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(template.metadata.labels.items()))


def _template(found: core.PodTemplateSpec, causes: Causes) -> None:
    path = "spec.template"
    metadata.labels(found.metadata.labels, causes, path=f"{path}.metadata.labels")
    metadata.annotated(found.metadata.annotations, causes, path=f"{path}.metadata.annotations")
    pods.spec(found.spec, causes, path=f"{path}.spec")
    if found.spec.restart_policy not in ("Always", ""):
        causes.not_supported(f"{path}.spec.restartPolicy", found.spec.restart_policy, ("Always",))
    if found.spec.HasField("active_deadline_seconds"):
        causes.forbidden(
            f"{path}.spec.activeDeadlineSeconds", "activeDeadlineSeconds in a workload's template is not supported"
        )


def _strategy(found: apps.DeploymentStrategy, causes: Causes) -> None:
    path = "spec.strategy"
    if found.type == "Recreate":
        if found.HasField("rolling_update"):
            causes.forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif found.type == "RollingUpdate":
        rolling = found.rolling_update
        surge = _amount(rolling.max_surge, causes, path=f"{path}.rollingUpdate.maxSurge")
        unavailable = _amount(rolling.max_unavailable, causes, path=f"{path}.rollingUpdate.maxUnavailable")
        if surge == 0 and unavailable == 0:
            causes.invalid(f"{path}.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")
        if rolling.max_unavailable.type == _STRING and unavailable is not None and unavailable > 100:
            causes.invalid(
                f"{path}.rollingUpdate.maxUnavailable", rolling.max_unavailable.str_val, "must not be greater than 100%"
            )
    else:
        causes.not_supported(f"{path}.type", found.type, ("Recreate", "RollingUpdate"))


def _amount(found: meta.IntOrString, causes: Causes, *, path: str) -> int | None:
    """A count or a percentage."""
    if found.type == _STRING:
        if not _PERCENT.fullmatch(found.str_val):
            causes.invalid(
                path,
                found.str_val,
                "a valid percent string must be a numeric string followed by an ending "
                "'%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
            return None
        return int(found.str_val[:-1])
    if found.int_val < 0:
        causes.invalid(path, found.int_val, _NOT_NEGATIVE)
        return None
    return found.int_val
