"""Webhook configurations, and what policies share with them: rules, selectors, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from raftsman.admissionregistration import v1 as admissionregistration
from raftsman.services.apiserver.cel import expressions

from . import metadata, names
from .causes import Causes

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT", "*")
SCOPES = ("Cluster", "Namespaced", "*")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
SIDE_EFFECTS = ("None", "NoneOnDryRun")
REINVOCATIONS = ("IfNeeded", "Never")
TIMEOUT_MAX_S = 30
CONDITIONS_MAX = 64
PORT_MAX = 65535
REVIEW_VERSION = "v1"
_VARIABLES = ("object", "oldObject", "request")


def mutating(found: admissionregistration.MutatingWebhookConfiguration, causes: Causes) -> None:
    _webhooks(found.webhooks, causes)
    for index, webhook in enumerate(found.webhooks):
        if webhook.reinvocation_policy not in REINVOCATIONS:
            path = f"webhooks[{index}].reinvocationPolicy"
            causes.not_supported(path, webhook.reinvocation_policy, REINVOCATIONS)


def validating(found: admissionregistration.ValidatingWebhookConfiguration, causes: Causes) -> None:
    _webhooks(found.webhooks, causes)


def _webhooks(found: Sequence[Any], causes: Causes) -> None:
    seen: set[str] = set()
    for index, webhook in enumerate(found):
        path = f"webhooks[{index}]"
        _name(webhook.name, causes, path=f"{path}.name")
        if webhook.name in seen:
            causes.duplicate(f"{path}.name", webhook.name)
        seen.add(webhook.name)
        _webhook(webhook, causes, path=path)


def _name(name: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(path)
        return
    for why in names.dns_subdomain(name):
        causes.invalid(path, name, why)
    if name.count(".") < 2:
        causes.invalid(path, name, "should be a domain with at least three segments separated by dots")


def _webhook(found: Any, causes: Causes, *, path: str) -> None:
    client(found.client_config, causes, path=f"{path}.clientConfig")
    for index, rule in enumerate(found.rules):
        rule_with_operations(rule, causes, path=f"{path}.rules[{index}]")
    if found.failure_policy not in FAILURE_POLICIES:
        causes.not_supported(f"{path}.failurePolicy", found.failure_policy, FAILURE_POLICIES)
    if found.match_policy not in MATCH_POLICIES:
        causes.not_supported(f"{path}.matchPolicy", found.match_policy, MATCH_POLICIES)
    if not found.side_effects:
        causes.required(f"{path}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}")
    elif found.side_effects not in SIDE_EFFECTS:
        causes.not_supported(f"{path}.sideEffects", found.side_effects, SIDE_EFFECTS)
    if not 1 <= found.timeout_seconds <= TIMEOUT_MAX_S:
        why = "the timeout value must be between 1 and 30 seconds"
        causes.invalid(f"{path}.timeoutSeconds", found.timeout_seconds, why)
    selectors(found, causes, path=path)
    match_conditions(found.match_conditions, causes, path=f"{path}.matchConditions")
    _versions(found.admission_review_versions, causes, path=f"{path}.admissionReviewVersions")


def selectors(found: Any, causes: Causes, *, path: str) -> None:
    metadata.label_selector(found.namespace_selector, causes, path=f"{path}.namespaceSelector")
    metadata.label_selector(found.object_selector, causes, path=f"{path}.objectSelector")


def _versions(found: Sequence[str], causes: Causes, *, path: str) -> None:
    if not found:
        causes.required(path, f"must specify {REVIEW_VERSION}")
    elif REVIEW_VERSION not in found:
        causes.invalid(path, list(found), f"must include {REVIEW_VERSION}")
    for index, version in enumerate(found):
        for why in names.dns_1035_label(version):
            causes.invalid(f"{path}[{index}]", version, why)
        if version in found[:index]:
            causes.invalid(f"{path}[{index}]", version, "duplicate version")


def client(found: Any, causes: Causes, *, path: str) -> None:
    """A WebhookClientConfig, of admission or of conversion."""
    by_url, by_service = found.HasField("url"), found.HasField("service")
    if by_url == by_service:
        causes.required(path, "exactly one of url or service is required")
    elif by_url:
        _url(found.url, causes, path=f"{path}.url")
    else:
        _service(found.service, causes, path=f"{path}.service")


def _url(text: str, causes: Causes, *, path: str) -> None:
    form = "desired format: https://host[/path]"
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        causes.required(path, f"url must be a valid URL: {error}; {form}")
        return
    if url.scheme != "https":
        causes.invalid(path, url.scheme, f"'https' is the only allowed URL scheme; {form}")
    if not url.hostname:
        causes.invalid(path, url.hostname or "", f"host must be specified; {form}")
    if url.username is not None or url.password is not None:
        causes.invalid(path, "***", "user information is not permitted in the URL")
    if url.fragment:
        causes.invalid(path, url.fragment, "fragments are not permitted in the URL")
    if url.query:
        causes.invalid(path, url.query, "query parameters are not permitted in the URL")


def _service(found: Any, causes: Causes, *, path: str) -> None:
    for field in ("name", "namespace"):
        value = getattr(found, field)
        rule = names.dns_1035_label if field == "name" else names.dns_label
        if not value:
            causes.required(f"{path}.{field}", f"service {field} is required")
        for why in rule(value) if value else ():
            causes.invalid(f"{path}.{field}", value, why)
    if found.HasField("port") and not 1 <= found.port <= PORT_MAX:
        causes.invalid(f"{path}.port", found.port, "port is not valid: must be between 1 and 65535, inclusive")
    if found.path and (not found.path.startswith("/") or "//" in found.path or "?" in found.path or "#" in found.path):
        causes.invalid(f"{path}.path", found.path, "must be a path that begins with '/' and has no empty segment")


def rule_with_operations(found: admissionregistration.RuleWithOperations, causes: Causes, *, path: str) -> None:
    operations = found.operations
    if not operations:
        causes.required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        causes.invalid(f"{path}.operations", list(operations), "if '*' is present, must not specify other operations")
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            causes.not_supported(f"{path}.operations[{index}]", operation, OPERATIONS)
    rule = found.rule
    for field, values in (("apiGroups", rule.api_groups), ("apiVersions", rule.api_versions)):
        _wild(values, causes, path=f"{path}.{field}", may_be_empty=field == "apiGroups")
    _wild(rule.resources, causes, path=f"{path}.resources", alone=False)
    if rule.scope not in SCOPES:
        causes.not_supported(f"{path}.scope", rule.scope, SCOPES)


def _wild(values: Sequence[str], causes: Causes, *, path: str, may_be_empty: bool = False, alone: bool = True) -> None:
    if not values:
        causes.required(path)
    if alone and len(values) > 1 and "*" in values:
        causes.invalid(path, list(values), "if '*' is present, must not specify other values")
    for index, value in enumerate(values):
        if not value and not may_be_empty:
            causes.required(f"{path}[{index}]")


def match_conditions(found: Sequence[Any], causes: Causes, *, path: str, variables: Iterable[str] = _VARIABLES) -> None:
    if len(found) > CONDITIONS_MAX:
        causes.too_many(path, len(found), CONDITIONS_MAX)
        return
    seen: set[str] = set()
    for index, condition in enumerate(found):
        at = f"{path}[{index}]"
        if not condition.name:
            causes.required(f"{at}.name")
        for why in names.qualified(condition.name) if condition.name else ():
            causes.invalid(f"{at}.name", condition.name, why)
        if condition.name in seen:
            causes.duplicate(f"{at}.name", condition.name)
        seen.add(condition.name)
        expression(condition.expression, causes, path=f"{at}.expression", variables=variables)


def expression(
    text: str, causes: Causes, *, path: str, variables: Iterable[str], types: tuple[str, ...] = ("BOOL",)
) -> None:
    """One that can be compiled, of one of `types` (any if there are none) as far as that is known."""
    if not text.strip():
        causes.required(path)
        return
    try:
        found = expressions.compiled(text, tuple(variables)).type
    except expressions.CompileError as error:
        causes.invalid(path, text, f"compilation failed: {error}")
        return
    if types and found not in (*types, "DYN"):
        causes.invalid(path, text, f"must evaluate to {' or '.join(one.lower() for one in types)}")
