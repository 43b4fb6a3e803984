"""Sets of field paths behave as sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.services.apiserver.managedfields.sets import EMPTY, FieldSet, item_key, text

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=8)


def made(paths: frozenset[tuple[str, ...]]) -> FieldSet:
    found = EMPTY
    for path in paths:
        one = FieldSet(member=True)
        for element in reversed(path):
            one = FieldSet(children={element: one})
        found = found.union(one)
    return found


def paths(fields: FieldSet) -> frozenset[tuple[str, ...]]:
    return frozenset(fields.paths())


@given(PATHS, PATHS)
def test_union_difference_and_intersection_are_those_of_the_paths(
    one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]
) -> None:
    a, b = made(one), made(other)
    assert paths(a.union(b)) == one | other
    assert paths(a.intersection(b)) == one & other
    assert paths(a.difference(b)) == one - other
    below = {path for path in one if any(path[: len(gone)] == gone for gone in other)}
    assert paths(a.without(b)) == one - below


@given(PATHS)
def test_a_set_is_itself_again_after_json(found: frozenset[tuple[str, ...]]) -> None:
    fields = made(found)
    assert FieldSet.from_json(fields.to_json()) == fields
    assert bool(fields) is bool(found)


@pytest.mark.parametrize("tree", [[], {"spec": {}}, {"f:spec": 1}, {"f:spec": {"x": {}}}])
def test_what_is_no_set_is_refused(tree: object) -> None:
    with pytest.raises(ValueError, match=r"element|object"):
        FieldSet.from_json(tree)


def test_a_path_is_told_as_kubernetes_does() -> None:
    path = ("f:spec", "f:ports", item_key({"protocol": "TCP", "port": 80}), "f:name")
    assert text(path) == '.spec.ports[port=80,protocol="TCP"].name'
