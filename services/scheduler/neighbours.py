"""What a pod asks of the pods around it: to be near some, apart from others, spread over places. Pure.

A place is all nodes with the same value of a label, the term's topology key. Two terms of equal words are equal, so
that demands can be compared. Counting looks at every pod of the snapshot, for pods that ask for it alone.

    n1 zone=a: web-1 web-2     n2 zone=b: web-3     spread web over zone by 1:  n1 has one more than n2, so n2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from raftsman import selectors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta


class Who(NamedTuple):
    """What others see of a pod."""

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class Term(NamedTuple):
    """Pods that are meant, and what a place is. No namespaces is all of them; no selector is no pod."""

    key: str
    namespaces: frozenset[str] | None
    selector: selectors.Selector | None

    def means(self, who: Who) -> bool:
        if self.selector is None or (self.namespaces is not None and who.namespace not in self.namespaces):
            return False
        return self.selector.matches(dict(who.labels))


class Liking(NamedTuple):
    """Below zero it is a dislike."""

    weight: int
    term: Term


class Spread(NamedTuple):
    term: Term
    max_skew: int
    hard: bool
    min_places: int = 0
    honour_selection: bool = True
    honour_taints: bool = False


class Wishes(NamedTuple):
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    likings: tuple[Liking, ...] = ()
    spreads: tuple[Spread, ...] = ()


NOBODY = Who()
NONE = Wishes()


def who_of(pod: core.Pod) -> Who:
    return Who(pod.metadata.namespace, tuple(sorted(pod.metadata.labels.items())))


def wishes_of(pod: core.Pod) -> Wishes:
    spec = pod.spec
    if not spec.HasField("affinity") and not spec.topology_spread_constraints:
        return NONE
    near, apart = spec.affinity.pod_affinity, spec.affinity.pod_anti_affinity
    likings = [
        Liking(sign * one.weight, _term(one.pod_affinity_term, pod))
        for sign, found in ((1, near), (-1, apart))
        for one in found.preferred_during_scheduling_ignored_during_execution
    ]
    return Wishes(
        tuple(_term(one, pod) for one in near.required_during_scheduling_ignored_during_execution),
        tuple(_term(one, pod) for one in apart.required_during_scheduling_ignored_during_execution),
        tuple(likings),
        tuple(_spread(one, pod) for one in spec.topology_spread_constraints),
    )


def _term(found: core.PodAffinityTerm, pod: core.Pod) -> Term:
    namespaces: frozenset[str] | None = frozenset(found.namespaces)
    if found.HasField("namespace_selector"):
        # One that selects by labels is refused before.
        namespaces = None
    elif not namespaces:
        namespaces = frozenset({pod.metadata.namespace})
    labels = pod.metadata.labels
    more = [*_own(found.match_label_keys, "In", labels), *_own(found.mismatch_label_keys, "NotIn", labels)]
    return Term(found.topology_key, namespaces, _selector(found, more))


def _spread(found: core.TopologySpreadConstraint, pod: core.Pod) -> Spread:
    more = _own(found.match_label_keys, "In", pod.metadata.labels)
    return Spread(
        Term(found.topology_key, frozenset({pod.metadata.namespace}), _selector(found, more)),
        found.max_skew,
        found.when_unsatisfiable == "DoNotSchedule",
        found.min_domains,
        found.node_affinity_policy != "Ignore",
        found.node_taints_policy == "Honor",
    )


def _own(keys: Iterable[str], operator: str, labels: Mapping[str, str]) -> list[meta.LabelSelectorRequirement]:
    """Requirements on labels whose values the pod itself has."""
    return [
        meta.LabelSelectorRequirement(key=key, operator=operator, values=[labels[key]]) for key in keys if key in labels
    ]


def _selector(
    found: core.PodAffinityTerm | core.TopologySpreadConstraint, more: list[meta.LabelSelectorRequirement]
) -> selectors.Selector | None:
    if not found.HasField("label_selector"):
        return None
    whole = meta.LabelSelector()
    whole.CopyFrom(found.label_selector)
    whole.match_expressions.extend(more)
    return selectors.from_label_selector(whole)
