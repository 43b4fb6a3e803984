"""What extends the API: admission, custom resources and registered API servers."""

from __future__ import annotations

from raftsman.admissionregistration import v1 as admissionregistration
from raftsman.apiextensions import v1 as apiextensions
from raftsman.apiregistration import v1 as apiregistration
from raftsman.services.apiserver.custom import definition
from raftsman.services.apiserver.defaulting import admission as defaults
from raftsman.services.apiserver.defaulting import registrations as registration_defaults
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.validation import names, policies, registrations, webhooks

from .declaring import WITH_STATUS, kind


def _observed(policy: admissionregistration.ValidatingAdmissionPolicy) -> None:
    """Every expression of a policy is compiled before it is stored; more is not known of it later."""
    policy.status.observed_generation = policy.metadata.generation
    policy.status.type_checking.SetInParent()


def kinds() -> tuple[Kind, ...]:
    """Their declarations."""
    return (
        *(
            kind(
                message, name_rule=names.dns_subdomain, has_generation=True, validate=policies.unserved,
                validate_update=lambda new, _, causes: policies.unserved(new, causes),
            )
            for message in (
                admissionregistration.MutatingAdmissionPolicy, admissionregistration.MutatingAdmissionPolicyBinding,
            )
        ),
        kind(
            admissionregistration.MutatingWebhookConfiguration, judges=True, name_rule=names.dns_subdomain,
            has_generation=True, default=defaults.mutating, validate=webhooks.mutating,
            validate_update=lambda new, _, causes: webhooks.mutating(new, causes),
        ),
        kind(
            admissionregistration.ValidatingAdmissionPolicy, judges=True, name_rule=names.dns_subdomain,
            has_generation=True, **WITH_STATUS, default=defaults.policy, complete_create=_observed,
            validate=policies.policy, validate_update=lambda new, _, causes: policies.policy(new, causes),
        ),
        kind(
            admissionregistration.ValidatingAdmissionPolicyBinding, judges=True, name_rule=names.dns_subdomain,
            has_generation=True, default=defaults.binding, validate=policies.binding,
            validate_update=lambda new, _, causes: policies.binding(new, causes),
        ),
        kind(
            admissionregistration.ValidatingWebhookConfiguration, judges=True, name_rule=names.dns_subdomain,
            has_generation=True, default=defaults.validating, validate=webhooks.validating,
            validate_update=lambda new, _, causes: webhooks.validating(new, causes),
        ),
        kind(
            apiextensions.CustomResourceDefinition, name_rule=names.dns_subdomain, **WITH_STATUS, has_generation=True,
            default=definition.default, complete_create=definition.complete_create,
            prepare_update=definition.prepare_update, prepare_delete=definition.prepare_delete,
            validate=definition.validate, validate_update=definition.update, validate_status=definition.status,
        ),
        kind(
            apiregistration.APIService, name_rule=names.path_segment, **WITH_STATUS, unconditional_update=False,
            default=registration_defaults.api_service,
            validate=registrations.api_service, validate_update=registrations.api_service_update,
            validate_status=registrations.api_service_status,
        ),
    )  # fmt: skip
