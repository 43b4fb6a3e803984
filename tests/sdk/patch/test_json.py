"""RFC 6902 and RFC 7386, with the RFCs' own examples."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman import errors, patch


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["a", "c"]}, [{"op": "add", "path": "/foo/1", "value": "b"}], {"foo": ["a", "b", "c"]}),
        ({"foo": ["a"]}, [{"op": "add", "path": "/foo/-", "value": ["b"]}], {"foo": ["a", ["b"]]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"/": 1, "~": 2}, [{"op": "test", "path": "/~1", "value": 1}, {"op": "test", "path": "/~0", "value": 2}],
         {"/": 1, "~": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({}, [{"op": "test", "path": "/a", "value": None}], {}),
    ],
)  # fmt: skip
def test_operations_do_what_the_rfc_says(document: Any, operations: Any, result: Any) -> None:
    assert patch.json_patch(document, operations) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/x"},
        {"op": "replace", "path": "/a/9", "value": 1},
        {"op": "add", "path": "/a/9", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "test", "path": "/a/0", "value": True},
        {"op": "add", "path": "/a/01", "value": 1},
    ],
)
def test_an_operation_that_does_not_fit_is_invalid(operation: Any) -> None:
    with pytest.raises(errors.Invalid):
        patch.json_patch({"a": [1]}, [operation])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "spoil", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "move", "from": "/a", "path": "/a/b"},
        "x",
    ],
)
def test_a_malformed_operation_is_a_bad_request(operation: Any) -> None:
    with pytest.raises(errors.BadRequest):
        patch.json_patch({"a": {"b": 1}}, [operation])


def test_copies_that_double_a_document_are_bounded() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/k{i}"} for i in range(40)]
    with pytest.raises(errors.BadRequest):
        patch.json_patch({"a": [1] * 10}, doubling)


@pytest.mark.parametrize(
    ("document", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, None, None),
    ],
)
def test_merge_patches_do_what_the_rfc_says(document: Any, change: Any, result: Any) -> None:
    assert patch.merge_patch(document, change) == result
