"""The policies that are bound now. Read out of the cache when something changed, not for each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raftsman import selectors
from raftsman.admissionregistration import v1 as registration
from raftsman.services.apiserver.watchcache.kind_cache import KindCache
from raftsman.services.apiserver.webhooks.rules import Rule, rule_of

if TYPE_CHECKING:
    from raftsman.services.apiserver.admission.attributes import Attributes

GROUP = "admissionregistration.k8s.io"
POLICIES = f"validatingadmissionpolicies.{GROUP}"
BINDINGS = f"validatingadmissionpolicybindings.{GROUP}"


@dataclass(frozen=True, slots=True)
class Named:
    """A rule, for some objects' names or for all."""

    rule: Rule
    names: frozenset[str]

    def matches(self, attributes: Attributes) -> bool:
        return (not self.names or attributes.name in self.names) and self.rule.matches(attributes)


@dataclass(frozen=True, slots=True)
class Matching:
    """MatchResources; without rules everything that is not excluded."""

    rules: tuple[Named, ...]
    excluded: tuple[Named, ...]
    namespaces: Any
    objects: Any

    def speaks_of(self, attributes: Attributes) -> bool:
        if any(one.matches(attributes) for one in self.excluded):
            return False
        return not self.rules or any(one.matches(attributes) for one in self.rules)


@dataclass(frozen=True, slots=True)
class Bound:
    """A policy with one of its bindings."""

    policy: registration.ValidatingAdmissionPolicy
    binding: registration.ValidatingAdmissionPolicyBinding
    policy_matches: Matching
    binding_matches: Matching


class Policies:
    def __init__(self, caches: Mapping[str, KindCache]) -> None:
        self._policies, self._bindings = caches[POLICIES], caches[BINDINGS]
        self._found: tuple[Bound, ...] | None = None
        for cache in (self._policies, self._bindings):
            cache.listeners.append(lambda _: self.forget())

    def forget(self) -> None:
        """What was read is read again."""
        self._found = None

    def bound(self) -> tuple[Bound, ...]:
        """In the order of the policies' names, then of the bindings'."""
        if self._found is None:
            self._found = tuple(sorted(self._read(), key=lambda one: (_name(one.policy), _name(one.binding))))
        return self._found

    def _read(self) -> Iterable[Bound]:
        policies = {found.name: found.parsed() for found in self._policies.values()}
        for found in self._bindings.values():
            binding = found.parsed()
            policy = policies.get(binding.spec.policy_name)
            if policy is not None:
                yield Bound(
                    policy, binding, matching(policy.spec.match_constraints), matching(binding.spec.match_resources)
                )


def _name(obj: Any) -> str:
    return str(obj.metadata.name)


def matching(found: registration.MatchResources) -> Matching:
    return Matching(
        _named(found.resource_rules), _named(found.exclude_resource_rules),
        selectors.from_label_selector(found.namespace_selector), selectors.from_label_selector(found.object_selector),
    )  # fmt: skip


def _named(found: Iterable[registration.NamedRuleWithOperations]) -> tuple[Named, ...]:
    return tuple(Named(rule_of(one.rule_with_operations), frozenset(one.resource_names)) for one in found)
