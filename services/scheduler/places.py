"""Filters and scores of a pod's neighbours: how many of which pods are in which place. Pure.

Whoever asks for nothing, while nobody wants to be apart from anybody, costs nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .demand import Demand
from .neighbours import Spread, Term
from .snapshot import Snapshot

Reasons = tuple[str, ...]
SCORE_MAX = 100
_FITS: Reasons = ()
_NOT_NEAR: Reasons = ("node(s) didn't match pod affinity rules",)
_NOT_APART: Reasons = ("node(s) didn't match pod anti-affinity rules",)
_OTHERS: Reasons = ("node(s) didn't satisfy existing pods anti-affinity rules",)
_SKEWED: Reasons = ("node(s) didn't match pod topology spread constraints",)
_NO_PLACE: Reasons = ("node(s) didn't match pod topology spread constraints (missing required label)",)


def counted(term: Term, nodes: Snapshot, rows: Iterable[int]) -> Counter[str]:
    """By place, how many of the pods that a term means are there; places without any count 0."""
    found: Counter[str] = Counter()
    for row in rows:
        place = nodes.labels[row].get(term.key)
        if place is not None:
            found[place] += sum(term.means(other.who) for other in nodes.placed(row))
    return found


def near(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """In the place of some pod of each term; the first of a group that wants to be together goes anywhere."""
    terms = demand.wishes.near
    if not terms:
        return [_FITS] * len(rows)
    places = [{place for place, count in counted(one, nodes, range(len(nodes))).items() if count} for one in terms]
    first = not any(places) and all(one.means(demand.who) for one in terms)

    def fits(row: int) -> bool:
        where = [nodes.labels[row].get(one.key) for one in terms]
        if first:
            return None not in where
        return all(place in found for place, found in zip(where, places, strict=True))

    return [_FITS if fits(row) else _NOT_NEAR for row in rows]


def apart(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """In no place of a pod that this one, or that itself, wants to be apart from."""
    mine = [(one.key, counted(one, nodes, range(len(nodes)))) for one in demand.wishes.apart]
    theirs = _kept_away(demand, nodes) if nodes.apart else set()
    if not mine and not theirs:
        return [_FITS] * len(rows)

    def verdict(row: int) -> Reasons:
        labels = nodes.labels[row]
        if any(key in labels and found[labels[key]] for key, found in mine):
            return _NOT_APART
        return _OTHERS if any(labels.get(key) == place for key, place in theirs) else _FITS

    return [verdict(row) for row in rows]


def _kept_away(demand: Demand, nodes: Snapshot) -> set[tuple[str, str]]:
    """(key, place) of the pods that want to be apart from this one."""
    found = set()
    for row in range(len(nodes)):
        for other in nodes.placed(row):
            for term in other.wishes.apart:
                place = nodes.labels[row].get(term.key)
                if place is not None and term.means(demand.who):
                    found.add((term.key, place))
    return found


def spread(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[Reasons]:
    """No place gets more than `max_skew` pods more than the emptiest one."""
    hard = [one for one in demand.wishes.spreads if one.hard]
    if not hard:
        return [_FITS] * len(rows)
    counts = [counted(one.term, nodes, _counting(one, demand, nodes)) for one in hard]

    def verdict(row: int) -> Reasons:
        for one, found in zip(hard, counts, strict=True):
            place = nodes.labels[row].get(one.term.key)
            if place is None:
                return _NO_PLACE
            least = 0 if not found or len(found) < one.min_places else min(found.values())
            if found[place] + one.term.means(demand.who) - least > one.max_skew:
                return _SKEWED
        return _FITS

    return [verdict(row) for row in rows]


def _counting(one: Spread, demand: Demand, nodes: Snapshot) -> list[int]:
    """The nodes that count as places."""
    return [
        row
        for row in range(len(nodes))
        if (not one.honour_selection or demand.selects(nodes.names[row], nodes.labels[row]))
        and (not one.honour_taints or demand.endures(nodes.taints[row]))
    ]


def liked(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[int]:
    """By the weights of what the pod would like to be near to, and would not."""
    if not demand.wishes.likings:
        return [0] * len(rows)
    sums = [0] * len(rows)
    for weight, term in demand.wishes.likings:
        found = counted(term, nodes, range(len(nodes)))
        for index, row in enumerate(rows):
            sums[index] += weight * found[nodes.labels[row].get(term.key, "")]
    return _scaled(sums)


def even(demand: Demand, nodes: Snapshot, rows: Sequence[int]) -> list[int]:
    """The emptier the place, the better, for constraints that only count."""
    soft = [one for one in demand.wishes.spreads if not one.hard]
    if not soft:
        return [0] * len(rows)
    sums = [0] * len(rows)
    for one in soft:
        found = counted(one.term, nodes, _counting(one, demand, nodes))
        worst = max(found.values(), default=0) + 1
        for index, row in enumerate(rows):
            place = nodes.labels[row].get(one.term.key)
            sums[index] -= found[place] if place is not None else worst
    return _scaled(sums)


def _scaled(sums: list[int]) -> list[int]:
    """From 0 for the least to SCORE_MAX for the most."""
    least, most = min(sums), max(sums)
    return [SCORE_MAX * (one - least) // (most - least) if most > least else 0 for one in sums]
