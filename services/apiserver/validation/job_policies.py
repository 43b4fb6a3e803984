"""When a job has failed, when it has succeeded, and when a pod of it is replaced."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.batch import v1 as batch

from . import indexes, names, numbers
from .causes import OMITTED, Causes

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_RULES_MAX = 20
_CODES_MAX = 255
_PATTERNS_MAX = 20
_INDEXES_BYTES_MAX = 64 << 10


def failure(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    found, at = spec.pod_failure_policy.rules, f"{path}.rules"
    if len(found) > _RULES_MAX:
        causes.too_many(at, len(found), _RULES_MAX)
    containers = {one.name for one in (*spec.template.spec.containers, *spec.template.spec.init_containers)}
    for index, rule in enumerate(found):
        _failure_rule(spec, rule, causes, path=f"{at}[{index}]", containers=containers)


def _failure_rule(
    spec: batch.JobSpec, rule: batch.PodFailurePolicyRule, causes: Causes, *, path: str, containers: set[str]
) -> None:
    if not rule.action:
        causes.required(f"{path}.action", f"valid values: {_listed(_ACTIONS)}")
    elif rule.action == "FailIndex" and not spec.HasField("backoff_limit_per_index"):
        causes.invalid(f"{path}.action", rule.action, "requires the backoffLimitPerIndex to be set")
    elif rule.action not in _ACTIONS:
        causes.not_supported(f"{path}.action", rule.action, _ACTIONS)
    if rule.HasField("on_exit_codes"):
        _exit_codes(rule.on_exit_codes, causes, path=f"{path}.onExitCodes", containers=containers)
    _conditions(rule.on_pod_conditions, causes, path=f"{path}.onPodConditions")
    if rule.HasField("on_exit_codes") and rule.on_pod_conditions:
        causes.invalid(path, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported")
    if not rule.HasField("on_exit_codes") and not rule.on_pod_conditions:
        causes.invalid(path, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _listed(values: Sequence[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _exit_codes(
    found: batch.PodFailurePolicyOnExitCodesRequirement, causes: Causes, *, path: str, containers: set[str]
) -> None:
    if not found.operator:
        causes.required(f"{path}.operator", f"valid values: {_listed(_OPERATORS)}")
    elif found.operator not in _OPERATORS:
        causes.not_supported(f"{path}.operator", found.operator, _OPERATORS)
    if found.HasField("container_name") and found.container_name not in containers:
        why = "must be one of the container or initContainer names in the pod template"
        causes.invalid(f"{path}.containerName", found.container_name, why)
    at, codes = f"{path}.values", list(found.values)
    if not codes:
        causes.invalid(at, codes, "at least one value is required")
    elif len(codes) > _CODES_MAX:
        causes.too_many(at, len(codes), _CODES_MAX)
    for index, code in enumerate(codes):
        if code == 0 and found.operator == "In":
            causes.invalid(f"{at}[{index}]", code, "must not be 0 for the In operator")
        if code in codes[:index]:
            causes.duplicate(f"{at}[{index}]", code)
    if codes != sorted(codes):
        causes.invalid(at, codes, "must be ordered")


def _conditions(found: Sequence[batch.PodFailurePolicyOnPodConditionsPattern], causes: Causes, *, path: str) -> None:
    if len(found) > _PATTERNS_MAX:
        causes.too_many(path, len(found), _PATTERNS_MAX)
    for index, pattern in enumerate(found):
        at = f"{path}[{index}]"
        for wrong in names.qualified(pattern.type):
            causes.invalid(f"{at}.type", pattern.type, wrong)
        if not pattern.status:
            causes.required(f"{at}.status", f"valid values: {_listed(_STATUSES)}")
        elif pattern.status not in _STATUSES:
            causes.not_supported(f"{at}.status", pattern.status, _STATUSES)


def success(spec: batch.JobSpec, causes: Causes, *, path: str, indexed: bool) -> None:
    if not indexed:
        causes.invalid(path, spec.success_policy, "requires indexed completion mode")
        return
    found, at = spec.success_policy.rules, f"{path}.rules"
    if not found:
        causes.required(at, "at least one rules must be specified when the successPolicy is specified")
    if len(found) > _RULES_MAX:
        causes.too_many(at, len(found), _RULES_MAX)
    for index, rule in enumerate(found):
        _success_rule(rule, causes, path=f"{at}[{index}]", completions=spec.completions)


def _success_rule(rule: batch.SuccessPolicyRule, causes: Causes, *, path: str, completions: int) -> None:
    with_indexes, with_count = rule.HasField("succeeded_indexes"), rule.HasField("succeeded_count")
    if not with_indexes and not with_count:
        causes.required(path, "at least one of succeededCount or succeededIndexes must be specified")
    total = 0
    if with_indexes:
        at = f"{path}.succeededIndexes"
        if len(rule.succeeded_indexes) > _INDEXES_BYTES_MAX:
            causes.too_long(at, _INDEXES_BYTES_MAX)
        try:
            total = indexes.count(rule.succeeded_indexes, completions)
        except indexes.BadIndexes as bad:
            causes.invalid(at, rule.succeeded_indexes, f"error parsing succeededIndexes: {bad}")
    if not with_count:
        return
    at, count = f"{path}.succeededCount", rule.succeeded_count
    numbers.not_negative(rule, causes, path=path, fields=("succeeded_count",))
    if count > completions:
        why = f"must be less than or equal to {completions} (the number of specified completions)"
        causes.invalid(at, count, why)
    if with_indexes and count > total:
        why = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        causes.invalid(at, count, why)


def replacement(spec: batch.JobSpec, causes: Causes, *, path: str) -> None:
    if not spec.HasField("pod_replacement_policy"):
        return
    allowed = _REPLACEMENTS[:1] if spec.HasField("pod_failure_policy") else _REPLACEMENTS
    if spec.pod_replacement_policy not in allowed:
        causes.not_supported(path, spec.pod_replacement_policy, allowed)
