"""Whether a rule with operations speaks of a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftsman.services.apiserver.admission.attributes import Attributes


@dataclass(frozen=True, slots=True)
class Rule:
    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[str]
    scope: str

    def matches(self, attributes: Attributes) -> bool:
        resource = attributes.call.kind.resource
        return (
            _within(attributes.operation.value, self.operations)
            and _within(resource.group, self.groups)
            and _within(resource.version, self.versions)
            and self._in_scope(attributes)
            and self._names(resource.name, attributes.subresource)
        )

    def _in_scope(self, attributes: Attributes) -> bool:
        """A namespace itself is none of a namespace."""
        if self.scope in ("", "*"):
            return True
        return attributes.call.kind.resource.namespaced is (self.scope == "Namespaced")

    def _names(self, name: str, subresource: str) -> bool:
        """`pods`, `pods/status`, `pods/*`, `*/status`, `*` (no subresource), `*/*`."""
        for one in self.resources:
            wanted, slash, part = one.partition("/")
            if wanted not in ("*", name):
                continue
            if (part in ("*", subresource)) if slash else not subresource:
                return True
        return False


def _within(one: str, wanted: frozenset[str]) -> bool:
    return one in wanted or "*" in wanted


def rule_of(found: Any) -> Rule:
    """Of a RuleWithOperations."""
    rule = found.rule
    return Rule(
        frozenset(found.operations), frozenset(rule.api_groups), frozenset(rule.api_versions),
        frozenset(rule.resources), rule.scope,
    )  # fmt: skip
