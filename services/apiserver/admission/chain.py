"""What is decided about a request by more than the object itself: plug-ins in the order of PLUGINS.

    decoded, defaulted → every mutating step → validation of the object → every validating step → stored

The order is Kubernetes' own. Which steps a request meets depends on its kind, operation and subresource alone and is
remembered, STEPS_MAX of them: most requests meet two or three.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import (
    certificates,
    default_ingress_class,
    default_storage_class,
    default_tolerations,
    escalation,
    limit_ranger,
    namespace_lifecycle,
    node_restriction,
    pod_security,
    policies,
    priority,
    resource_quota,
    service_account,
    taint_nodes,
    webhooks,
)
from .attributes import Attributes, Operation, Plugin, Step

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api
    from raftsman.services.apiserver.rpc import Call

STEPS_MAX = 4096

PLUGINS: tuple[Plugin, ...] = (
    namespace_lifecycle.PLUGIN,
    limit_ranger.PLUGIN,
    service_account.PLUGIN,
    node_restriction.PLUGIN,
    taint_nodes.PLUGIN,
    pod_security.PODS,
    pod_security.TEMPLATES,
    pod_security.NAMESPACES,
    priority.PODS,
    priority.CLASSES,
    default_tolerations.PLUGIN,
    default_storage_class.PLUGIN,
    default_ingress_class.PLUGIN,
    certificates.IDENTITY,
    certificates.APPROVAL,
    certificates.SIGNING,
    certificates.RESTRICTION,
    escalation.PLUGIN,
    webhooks.MUTATING,
    policies.PLUGIN,
    webhooks.VALIDATING,
    resource_quota.PLUGIN,
)


@functools.lru_cache(maxsize=STEPS_MAX)
def _steps(qualified: str, operation: Operation, subresource: str) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """(mutating, validating)."""
    wanted = [plugin for plugin in PLUGINS if plugin.wants(qualified, operation, subresource)]
    mutating = tuple(plugin.mutate for plugin in wanted if plugin.mutate is not None)
    return mutating, tuple(plugin.validate for plugin in wanted if plugin.validate is not None)


async def mutate(attributes: Attributes) -> None:
    """Changes `attributes.new`; errors.ApiError (Forbidden, mostly) if the request is refused."""
    qualified = attributes.call.kind.resource.qualified
    steps = _steps(qualified, attributes.operation, attributes.subresource)[0]
    for step in steps:
        await step(attributes)
    if attributes.invocations is not None and attributes.invocations.changed:
        # A webhook changed the object: once more, for those who came before it.
        for step in steps:
            await step(attributes)


async def validate(attributes: Attributes) -> None:
    """errors.ApiError if the request is refused."""
    qualified = attributes.call.kind.resource.qualified
    for step in _steps(qualified, attributes.operation, attributes.subresource)[1]:
        await step(attributes)


async def admit(
    api: Api, call: Call, operation: Operation, *, namespace: str, name: str, new: Any = None, old: Any = None,
    subresource: str = "",
) -> None:  # fmt: skip
    """Both phases at once, for what is not stored as it was sent: deletes, bindings, tokens, connections."""
    attributes = Attributes(api, call, operation, namespace, name, new, old, subresource)
    await mutate(attributes)
    await validate(attributes)
