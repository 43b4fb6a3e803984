"""The conditions of a CustomResourceDefinition."""

from __future__ import annotations

import time

from raftsman.apiextensions import v1 as apiextensions

NAMES_ACCEPTED = "NamesAccepted"
ESTABLISHED = "Established"
TERMINATING = "Terminating"
CONFORMANT = "KubernetesAPIApprovalPolicyConformant"


def find(
    status: apiextensions.CustomResourceDefinitionStatus, type_: str
) -> apiextensions.CustomResourceDefinitionCondition | None:
    return next((one for one in status.conditions if one.type == type_), None)


def is_true(definition: apiextensions.CustomResourceDefinition, type_: str) -> bool:
    found = find(definition.status, type_)
    return found is not None and found.status == "True"


def set_(
    status: apiextensions.CustomResourceDefinitionStatus, type_: str, value: str, reason: str, message: str
) -> None:
    """Say it, at this moment if it was otherwise before."""
    found = find(status, type_)
    if found is None:
        found = status.conditions.add(type=type_)
    if found.status != value:
        found.status = value
        found.last_transition_time.seconds = int(time.time())
    found.reason, found.message = reason, message
