"""Daemon sets."""

from __future__ import annotations

from raftsman.apps import v1 as apps

from . import metadata, numbers, templates
from .causes import Causes

_TEMPLATE = "spec.template"
_STATUS = (
    "current_number_scheduled", "number_misscheduled", "desired_number_scheduled", "number_ready",
    "observed_generation", "updated_number_scheduled", "number_available", "number_unavailable", "collision_count",
)  # fmt: skip


def daemon_set(found: apps.DaemonSet, causes: Causes) -> None:
    spec = found.spec
    metadata.label_selector(spec.selector, causes, path="spec.selector")
    if not spec.HasField("selector"):
        causes.required("spec.selector")
    elif templates.is_empty(spec.selector):
        causes.invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset")
    else:
        templates.matching(spec.selector, spec.template, causes, path=_TEMPLATE)
    templates.lasting(spec.template, causes, path=_TEMPLATE, of="DaemonSet")
    numbers.not_negative(spec, causes, path="spec", fields=("min_ready_seconds", "revision_history_limit"))
    _strategy(spec.update_strategy, causes)


def update(new: apps.DaemonSet, old: apps.DaemonSet, causes: Causes) -> None:
    daemon_set(new, causes)
    if new.spec.selector != old.spec.selector:
        causes.changed("spec.selector", new.spec.selector)


def status(new: apps.DaemonSet, old: apps.DaemonSet, causes: Causes) -> None:
    numbers.not_negative(new.status, causes, path="status", fields=_STATUS)
    numbers.not_decremented(new.status, old.status, causes, path="status", field="collision_count")


def _strategy(found: apps.DaemonSetUpdateStrategy, causes: Causes) -> None:
    path = "spec.updateStrategy"
    if found.type == "OnDelete":
        return
    if found.type != "RollingUpdate":
        causes.not_supported(f"{path}.type", found.type, ("OnDelete", "RollingUpdate"))
        return
    at = f"{path}.rollingUpdate"
    if not found.HasField("rolling_update"):
        causes.required(at)
        return
    rolling = found.rolling_update
    unavailable = numbers.amount(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")
    surge = numbers.amount(rolling.max_surge, causes, path=f"{at}.maxSurge")
    numbers.at_most_all(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")
    numbers.at_most_all(rolling.max_surge, causes, path=f"{at}.maxSurge")
    if surge and unavailable:
        causes.invalid(f"{at}.maxSurge", rolling.max_surge, "may not be set when maxUnavailable is non-zero")
    elif surge == 0 and unavailable == 0:
        causes.required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0")
