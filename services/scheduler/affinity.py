"""What a pod asks of a node's labels: terms of which one must hold, and terms that are worth something. Pure.

requiredDuring…: [{zone In (a, b), disk Exists}, {metadata.name In (n1)}]   one of the two
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from raftsman.core import v1 as core

NAME = "metadata.name"


class Requirement(NamedTuple):
    key: str
    operator: str
    values: tuple[str, ...]

    def holds(self, found: str | None) -> bool:
        match self.operator:
            case "In":
                return found is not None and found in self.values
            case "NotIn":
                return found is None or found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
            case "Gt" | "Lt":
                return self._compares(found)
        return False

    def _compares(self, found: str | None) -> bool:
        try:
            ours, theirs = int(found or ""), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return ours > theirs if self.operator == "Gt" else ours < theirs


class Term(NamedTuple):
    """All of its requirements must hold; one without any matches no node."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        if not self.labels and not self.fields:
            return False
        return all(one.holds(labels.get(one.key)) for one in self.labels) and all(
            one.holds(name if one.key == NAME else None) for one in self.fields
        )


class Preference(NamedTuple):
    weight: int
    term: Term


def required(affinity: core.Affinity) -> tuple[Term, ...] | None:
    """None if every node will do."""
    if not affinity.node_affinity.HasField("required_during_scheduling_ignored_during_execution"):
        return None
    found = affinity.node_affinity.required_during_scheduling_ignored_during_execution
    return tuple(_term(term) for term in found.node_selector_terms)


def preferred(affinity: core.Affinity) -> tuple[Preference, ...]:
    found = affinity.node_affinity.preferred_during_scheduling_ignored_during_execution
    return tuple(Preference(one.weight, _term(one.preference)) for one in found)


def _term(term: core.NodeSelectorTerm) -> Term:
    labels, fields = (
        tuple(Requirement(one.key, one.operator, tuple(one.values)) for one in listed)
        for listed in (term.match_expressions, term.match_fields)
    )
    return Term(labels, fields)
