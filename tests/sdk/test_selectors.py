"""Selectors match as users expect, and say what is wrong with a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman import errors, selectors
from raftsman.meta import v1 as meta


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True), ("a=b", {"a": "b"}, True), ("a==b", {"a": "c"}, False), ("a=b", {}, False),
        ("a!=b", {}, True), ("a!=b", {"a": "b"}, False), ("a in (b, c)", {"a": "c"}, True), ("a in (b)", {}, False),
        ("a notin (b,c)", {}, True), ("a notin (b,c)", {"a": "b"}, False), ("a", {"a": ""}, True), ("a", {}, False),
        ("!a", {}, True), ("!a", {"a": "x"}, False), ("a>3", {"a": "4"}, True), ("a<3", {"a": "x"}, False),
        ("a=b,c notin (d),!e", {"a": "b", "c": "x"}, True), ("in in (in)", {"in": "in"}, True), ("a=", {"a": ""}, True),
        ("x.io/y=z", {"x.io/y": "z"}, True),
    ],
)  # fmt: skip
def test_a_label_selector_matches(text: str, labels: dict[str, str], matches: bool) -> None:
    assert selectors.parse_labels(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text", ["a b", "a=b c", "=x", "a in b", "a in (b", "a,,b", "a=$", "a=b,", "-a", "x/y/z", "a>b"]
)
def test_what_is_no_label_selector_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        selectors.parse_labels(text)
    assert repr(text) in refused.value.message


keys = st.from_regex(r"[a-z]([-a-z0-9_.]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.dictionaries(keys, keys, max_size=4), st.dictionaries(keys, keys, max_size=4))
def test_the_text_of_a_selector_selects_the_same(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = selectors.from_mapping(wanted)
    assert selectors.parse_labels(str(selector)).matches(labels) == selector.matches(labels)
    assert selector.matches({**labels, **wanted})


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_label_selector(None).matches({})
    assert selectors.from_label_selector(meta.LabelSelector()).matches({"a": "b"})


def test_match_expressions_are_understood() -> None:
    selector = meta.LabelSelector(match_labels={"app": "web"})
    selector.match_expressions.add(key="tier", operator="NotIn", values=["back"])
    found = selectors.from_label_selector(selector)
    assert found.matches({"app": "web"})
    assert not found.matches({"app": "web", "tier": "back"})
    assert found.exact("app") == "web"
    selector.match_expressions.add(key="x", operator="Near")
    with pytest.raises(errors.BadRequest, match="Near"):
        selectors.from_label_selector(selector)


def test_field_selectors_compare_whole_values() -> None:
    found = selectors.parse_fields(r"metadata.name=a\,b,status.phase!=Running,spec.nodeName=")
    assert found.matches({"metadata.name": "a,b", "status.phase": "Pending"})
    assert not found.matches({"metadata.name": "a,b", "status.phase": "Running"})
    for text in ("x", "a=b,c", "=b"):
        with pytest.raises(errors.BadRequest):
            selectors.parse_fields(text)
