"""Every fuzz target on bytes of Hypothesis' choice, and on all that was ever found: nothing is raised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=400, deadline=None)
@given(data=st.one_of(st.binary(max_size=40), st.binary(min_size=40, max_size=600)))
def test_nothing_is_raised_whatever_the_bytes_are(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("read_scalars", b"0001-01-01T00:00:00Z"),
        ("read_scalars", b"9999-12-31T23:59:59-23:59"),
        ("read_json", b'\x00{"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"}}'),
    ],
)
def test_what_was_found_stays_mended(target: str, data: bytes) -> None:
    TARGETS[target](data)
