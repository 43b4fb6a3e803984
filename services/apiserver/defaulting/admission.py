"""Default values of webhook configurations and admission policies, as admissionregistration.k8s.io/v1 has them."""

from __future__ import annotations

from typing import Any

from raftsman.admissionregistration import v1 as admissionregistration

TIMEOUT_S = 10
HTTPS_PORT = 443


def mutating(found: admissionregistration.MutatingWebhookConfiguration) -> None:
    for webhook in found.webhooks:
        _webhook(webhook)
        webhook.reinvocation_policy = webhook.reinvocation_policy or "Never"


def validating(found: admissionregistration.ValidatingWebhookConfiguration) -> None:
    for webhook in found.webhooks:
        _webhook(webhook)


def _webhook(found: Any) -> None:
    found.failure_policy = found.failure_policy or "Fail"
    _matching(found)
    if not found.HasField("timeout_seconds"):
        found.timeout_seconds = TIMEOUT_S
    if found.client_config.HasField("service") and not found.client_config.service.HasField("port"):
        found.client_config.service.port = HTTPS_PORT
    for one in found.rules:
        _scope(one.rule)


def _matching(found: Any) -> None:
    found.match_policy = found.match_policy or "Equivalent"
    for selector in ("namespace_selector", "object_selector"):
        if not found.HasField(selector):
            getattr(found, selector).SetInParent()


def _scope(rule: admissionregistration.Rule) -> None:
    rule.scope = rule.scope or "*"


def policy(found: admissionregistration.ValidatingAdmissionPolicy) -> None:
    found.spec.failure_policy = found.spec.failure_policy or "Fail"
    if found.spec.HasField("match_constraints"):
        _resources(found.spec.match_constraints)


def binding(found: admissionregistration.ValidatingAdmissionPolicyBinding) -> None:
    if found.spec.HasField("match_resources"):
        _resources(found.spec.match_resources)


def _resources(found: admissionregistration.MatchResources) -> None:
    _matching(found)
    for rules in (found.resource_rules, found.exclude_resource_rules):
        for one in rules:
            _scope(one.rule_with_operations.rule)
