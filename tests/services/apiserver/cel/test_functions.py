"""What the language lacks of Kubernetes' CEL library, as expressions use it."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman.services.apiserver.cel import expressions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text.find('[0-9]+')", "12"),
        ("text.find('z')", ""),
        ("text.findAll('[0-9]+')", ["12", "3"]),
        ("text.findAll('[0-9]+', 1)", ["12"]),
        ("[1, 2, 2].isSorted()", True),
        ("[3, 1].max()", 3),
        ("['a', 'b'].indexOf('b')", 1),
        ("sets.intersects([1], [1, 2])", True),
    ],
)
def test_functions_give_what_kubernetes_gives(text: str, value: Any) -> None:
    assert expressions.compiled(text, ("text",)).evaluate({"text": "a12b3"}) == value


def test_a_pattern_that_is_none_is_an_error_of_the_expression() -> None:
    with pytest.raises(expressions.EvaluationError):
        expressions.compiled("text.find('(')", ("text",)).evaluate({"text": "a"})


def test_no_pattern_takes_for_ever() -> None:
    # A backtracking search of this would outlast the test's own time limit by far.
    assert expressions.compiled("text.find('(a+)+$')", ("text",)).evaluate({"text": "a" * 40 + "b"}) == ""
