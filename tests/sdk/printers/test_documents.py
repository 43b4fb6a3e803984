"""What is printed as YAML or JSON is read again as the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from raftsman import manifests
from raftsman.printers import documents

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12), st.from_regex(r"[-+0-9.eExob_:yYnN~<]{1,6}", fullmatch=True),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=3))
@example({"a": "1e3", "b": "0644", "c": "yes", "d": "12:30", "e": "2020-01-01", "f": "y", "g": "", "h": "x\n  y \n"})
def test_yaml_is_read_again_as_the_same(value: dict[str, Any]) -> None:
    (document,) = manifests.parse(documents.to_yaml(value).encode())
    assert document.value == json.loads(json.dumps(value))
    assert not document.problems


@given(st.text(alphabet="0123456789.eE+-_:xobyYnN~", max_size=6))
def test_text_is_text_to_other_readers_too(text: str) -> None:
    assert yaml.safe_load(documents.to_yaml({"a": text}))["a"] == text


@pytest.mark.parametrize(
    "text", ["v1.36.0", "10.96.0.1", "10.96.0.1/16", "2a", "1.36.0", "8080/TCP", "web-1", "a b", "1Gi", "100m", "2h"]
)
def test_ordinary_words_are_not_quoted(text: str) -> None:
    assert documents.to_yaml({"a": text}) == f"a: {text}\n"


def test_lines_are_a_block() -> None:
    assert documents.to_yaml({"a": "x\ny\n"}) == "a: |\n  x\n  y\n"
