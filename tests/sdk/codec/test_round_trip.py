"""What is written is read again, for every kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raftsman import codec, resources

from .strategies import messages

KINDS = [resource for resource in resources.known() if resource.service]


@pytest.mark.parametrize("resource", KINDS, ids=lambda r: r.qualified)
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_message_survives_json(resource: resources.Resource, data: st.DataObject) -> None:
    message: Any = data.draw(messages(resource.message.DESCRIPTOR))
    value = codec.to_json(message)
    assert json.loads(json.dumps(value)) == value
    decoded = codec.from_json(value, resource.message)
    assert decoded.problems == ()
    assert decoded.message == message
    assert codec.to_json(decoded.message) == value


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda s: st.one_of(st.lists(s, max_size=3), st.dictionaries(st.text(max_size=4), s, max_size=3)),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_json_is_decoded_or_named_as_a_problem(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from(KINDS))
    value = data.draw(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data", "x"]), json_values))
    decoded = codec.from_json(value, resource.message)
    assert all(problem.field and problem.message for problem in decoded.problems)
    # What was taken can be written, and is then taken whole.
    assert codec.from_json(codec.to_json(decoded.message), resource.message).problems == ()
