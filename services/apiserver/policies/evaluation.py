"""What a policy says of a request, given what expressions see of it. Pure.

Variables are evaluated in their order; one that fails is missing from `variables`, which fails who asks for it and
nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raftsman.admissionregistration import v1 as registration
from raftsman.services.apiserver.cel import expressions

INVALID = "Invalid"
MESSAGE_CHARACTERS_MAX = 5 << 10
_SEEN = ("object", "oldObject", "request", "namespaceObject", "authorizer")


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not, and with which reason (Invalid, Forbidden …)."""

    message: str
    reason: str = INVALID


def names(spec: registration.ValidatingAdmissionPolicySpec, *, variables: bool = True) -> tuple[str, ...]:
    """The variables that a policy's expressions may use."""
    params = ("params",) if spec.HasField("param_kind") else ()
    return (*_SEEN, *params, *(("variables",) if variables else ()))


def applies(spec: registration.ValidatingAdmissionPolicySpec, seen: Mapping[str, Any]) -> bool | Denial:
    """Whether every match condition is true; a Denial if that cannot be told and failures deny."""
    failed: Denial | None = None
    known = names(spec, variables=False)
    for condition in spec.match_conditions:
        try:
            holds = expressions.compiled(condition.expression, known).evaluate(seen)
        except (expressions.CompileError, expressions.EvaluationError) as error:
            failed = failed or Denial(f"matchCondition {condition.name}: {error}")
            continue
        if holds is not True:
            return False
    if failed is None:
        return True
    return failed if spec.failure_policy != "Ignore" else False


def denials(spec: registration.ValidatingAdmissionPolicySpec, seen: Mapping[str, Any]) -> Iterator[Denial]:
    """Every validation that is not true, or fails where failures deny."""
    known = names(spec)
    seen = {**seen, "variables": _variables(spec, seen, known)}
    for validation in spec.validations:
        try:
            holds = expressions.compiled(validation.expression, known).evaluate(seen)
        except (expressions.CompileError, expressions.EvaluationError) as error:
            if spec.failure_policy != "Ignore":
                yield Denial(f"expression '{validation.expression}' resulted in error: {error}")
            continue
        if holds is not True:
            yield Denial(_message(validation, seen, known), validation.reason or INVALID)


def audited(spec: registration.ValidatingAdmissionPolicySpec, seen: Mapping[str, Any]) -> dict[str, str]:
    """The audit annotations that have a value."""
    known = names(spec)
    seen = {**seen, "variables": _variables(spec, seen, known)}
    found = {}
    for annotation in spec.audit_annotations:
        try:
            value = expressions.compiled(annotation.value_expression, known).evaluate(seen)
        except (expressions.CompileError, expressions.EvaluationError):
            continue
        if isinstance(value, str):
            found[annotation.key] = value
    return found


def _variables(
    spec: registration.ValidatingAdmissionPolicySpec, seen: Mapping[str, Any], known: tuple[str, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable in spec.variables:
        try:
            found[variable.name] = expressions.compiled(variable.expression, known).evaluate(
                {**seen, "variables": found}
            )
        except (expressions.CompileError, expressions.EvaluationError):
            continue
    return found


def _message(validation: registration.Validation, seen: Mapping[str, Any], known: tuple[str, ...]) -> str:
    if validation.message_expression:
        try:
            said = expressions.compiled(validation.message_expression, known).evaluate(seen)
        except (expressions.CompileError, expressions.EvaluationError):
            said = ""
        if isinstance(said, str) and said.strip() and "\n" not in said.strip():
            return said.strip()[:MESSAGE_CHARACTERS_MAX]
    return validation.message.strip() or f"failed expression: {validation.expression.strip()}"
