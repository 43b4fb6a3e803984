"""The parameters that a binding gives its policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raftsman import selectors
from raftsman.admissionregistration import v1 as registration
from raftsman.services.apiserver.watchcache.selection import Selection

if TYPE_CHECKING:
    from raftsman.services.apiserver.admission.attributes import Attributes

NOT_FOUND = "no params found for policy binding with `Deny` parameterNotFoundAction"


class Missing(Exception):
    """Why there are none although there have to be."""


async def of(
    attributes: Attributes, policy: registration.ValidatingAdmissionPolicy,
    binding: registration.ValidatingAdmissionPolicyBinding,
) -> list[Any]:  # fmt: skip
    """Each as JSON; the policy is evaluated with each. [None] if there is nothing to give. Raises Missing."""
    if not policy.spec.HasField("param_kind"):
        return [None]
    if not binding.spec.HasField("param_ref"):
        return [None]
    wanted, ref = policy.spec.param_kind, binding.spec.param_ref
    api = attributes.api
    kind = api.registry.of_kind(wanted.api_version, wanted.kind)
    if kind is None or not kind.stored:
        raise Missing(f"failed to find resource referenced by paramKind: '{wanted.api_version}, Kind={wanted.kind}'")
    namespace = ""
    if kind.resource.namespaced:
        namespace = ref.namespace or attributes.namespace
        if not namespace:
            raise Missing("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    elif ref.namespace:
        raise Missing("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    cache = api.cache(kind)
    if ref.name:
        one = cache.get(namespace, ref.name)
        if one is None:
            await api.feed.fresh()
            one = cache.get(namespace, ref.name)
        found = [] if one is None else [one]
    else:
        found = cache.select(Selection(namespace, labels=selectors.from_label_selector(ref.selector)))
    if not found and ref.parameter_not_found_action != "Allow":
        raise Missing(NOT_FOUND)
    return [kind.form.tree(one.parsed()) for one in found]
