"""Validating admission policies and their bindings; mutating ones are refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from raftsman.admissionregistration import v1 as registration
from raftsman.services.apiserver.policies import evaluation

from . import names, webhooks
from .causes import Causes

ACTIONS = ("Audit", "Deny", "Warn")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
NOT_FOUND_ACTIONS = ("Allow", "Deny")
VARIABLES_MAX, VALIDATIONS_MAX = 128, 128
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)


def policy(found: registration.ValidatingAdmissionPolicy, causes: Causes) -> None:
    spec = found.spec
    if not spec.validations and not spec.audit_annotations:
        causes.required("spec.validations", "validations or auditAnnotations must contain at least one item")
    if spec.failure_policy not in webhooks.FAILURE_POLICIES:
        causes.not_supported("spec.failurePolicy", spec.failure_policy, webhooks.FAILURE_POLICIES)
    if spec.HasField("param_kind"):
        _param_kind(spec.param_kind, causes)
    if not spec.HasField("match_constraints"):
        causes.required("spec.matchConstraints")
    else:
        matching(spec.match_constraints, causes, path="spec.matchConstraints")
        if not spec.match_constraints.resource_rules:
            causes.required("spec.matchConstraints.resourceRules")
    early = evaluation.names(spec, variables=False)
    webhooks.match_conditions(spec.match_conditions, causes, path="spec.matchConditions", variables=early)
    _variables(spec, causes)
    _validations(spec, causes)
    _annotations(spec, causes)


def _param_kind(found: registration.ParamKind, causes: Causes) -> None:
    for field, value in (("apiVersion", found.api_version), ("kind", found.kind)):
        if not value:
            causes.required(f"spec.paramKind.{field}")


def matching(found: registration.MatchResources, causes: Causes, *, path: str) -> None:
    webhooks.selectors(found, causes, path=path)
    if found.match_policy not in webhooks.MATCH_POLICIES:
        causes.not_supported(f"{path}.matchPolicy", found.match_policy, webhooks.MATCH_POLICIES)
    for field, rules in (
        ("resourceRules", found.resource_rules),
        ("excludeResourceRules", found.exclude_resource_rules),
    ):
        for index, rule in enumerate(rules):
            at = f"{path}.{field}[{index}]"
            webhooks.rule_with_operations(rule.rule_with_operations, causes, path=at)
            _doubled(rule.resource_names, causes, path=f"{at}.resourceNames")


def _doubled(values: Sequence[str], causes: Causes, *, path: str) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            causes.duplicate(f"{path}[{index}]", value)


def _variables(spec: registration.ValidatingAdmissionPolicySpec, causes: Causes) -> None:
    if len(spec.variables) > VARIABLES_MAX:
        causes.too_many("spec.variables", len(spec.variables), VARIABLES_MAX)
        return
    for index, variable in enumerate(spec.variables):
        path = f"spec.variables[{index}]"
        if not variable.name:
            causes.required(f"{path}.name")
        elif not _IDENTIFIER.fullmatch(variable.name):
            causes.invalid(f"{path}.name", variable.name, "name is not a valid CEL identifier")
        _expression(spec, variable.expression, causes, path=f"{path}.expression", types=())
    _doubled([one.name for one in spec.variables], causes, path="spec.variables")


def _validations(spec: registration.ValidatingAdmissionPolicySpec, causes: Causes) -> None:
    if len(spec.validations) > VALIDATIONS_MAX:
        causes.too_many("spec.validations", len(spec.validations), VALIDATIONS_MAX)
        return
    for index, one in enumerate(spec.validations):
        path = f"spec.validations[{index}]"
        _expression(spec, one.expression, causes, path=f"{path}.expression")
        if one.message_expression:
            at = f"{path}.messageExpression"
            _expression(spec, one.message_expression, causes, path=at, types=("STRING",))
        if "\n" in one.message.strip():
            causes.invalid(f"{path}.message", one.message, "message must not contain line breaks")
        if "\n" in one.expression.strip() and not one.message.strip():
            causes.required(f"{path}.message", "message must be specified if expression contains line breaks")
        if one.HasField("reason") and one.reason not in REASONS:
            causes.not_supported(f"{path}.reason", one.reason, REASONS)


def _annotations(spec: registration.ValidatingAdmissionPolicySpec, causes: Causes) -> None:
    for index, one in enumerate(spec.audit_annotations):
        path = f"spec.auditAnnotations[{index}]"
        for why in names.qualified(one.key):
            causes.invalid(f"{path}.key", one.key, why)
        at = f"{path}.valueExpression"
        _expression(spec, one.value_expression, causes, path=at, types=("STRING", "NULL"))
    _doubled([one.key for one in spec.audit_annotations], causes, path="spec.auditAnnotations")


def _expression(
    spec: registration.ValidatingAdmissionPolicySpec, text: str, causes: Causes, *, path: str,
    types: tuple[str, ...] = ("BOOL",),
) -> None:  # fmt: skip
    webhooks.expression(text, causes, path=path, variables=evaluation.names(spec), types=types)


def binding(found: registration.ValidatingAdmissionPolicyBinding, causes: Causes) -> None:
    spec = found.spec
    if not spec.policy_name:
        causes.required("spec.policyName")
    for why in names.dns_subdomain(spec.policy_name) if spec.policy_name else ():
        causes.invalid("spec.policyName", spec.policy_name, why)
    if spec.HasField("param_ref"):
        _param_ref(spec.param_ref, causes)
    if spec.HasField("match_resources"):
        matching(spec.match_resources, causes, path="spec.matchResources")
    _actions(spec.validation_actions, causes)


def _param_ref(found: registration.ParamRef, causes: Causes) -> None:
    path = "spec.paramRef"
    if found.HasField("name") and found.name and found.HasField("selector"):
        causes.forbidden(f"{path}.name", "name and selector are mutually exclusive")
    elif not found.name and not found.HasField("selector"):
        causes.required(path, "one of name or selector must be specified")
    if not found.HasField("parameter_not_found_action"):
        causes.required(f"{path}.parameterNotFoundAction")
    elif found.parameter_not_found_action not in NOT_FOUND_ACTIONS:
        causes.not_supported(f"{path}.parameterNotFoundAction", found.parameter_not_found_action, NOT_FOUND_ACTIONS)


def _actions(found: Sequence[str], causes: Causes) -> None:
    path = "spec.validationActions"
    if not found:
        causes.required(path)
    for index, action in enumerate(found):
        if action not in ACTIONS:
            causes.not_supported(f"{path}[{index}]", action, ACTIONS)
    _doubled(found, causes, path=path)
    if {"Deny", "Warn"} <= set(found):
        why = "must not contain both Deny and Warn: the caller would be told the same twice"
        causes.invalid(path, list(found), why)


def unserved(found: Any, causes: Causes) -> None:
    """Of mutating policies and their bindings."""
    causes.unserved("spec", "mutations in CEL; use a mutating webhook")
