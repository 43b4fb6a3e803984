"""Answers that are kept, so that an operation that is sent again is answered and not repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.store import errors
from raftsman.store.mvcc import sessions
from raftsman.store.mvcc.sessions import Outcome, Sessions


def answered(held: Sessions, number: int, sequence: int, *, received: int = 0, response: bytes = b"") -> Outcome:
    """Apply an operation as the store does."""
    known = held.recall(number, sequence, received=received)
    if known is None:
        known = Outcome(sequence + 1, response)
        held.remember(number, sequence, known)
    return known


def test_what_is_sent_again_is_answered_as_before() -> None:
    held = Sessions()
    held.open(7)
    first = answered(held, 7, 1)
    assert held.recall(7, 1, received=0) is first
    assert held.recall(7, 2, received=0) is None


def test_an_answer_that_arrived_is_forgotten_and_its_operation_never_repeated() -> None:
    held = Sessions()
    held.open(7)
    for sequence in (1, 2, 3):
        answered(held, 7, sequence)
    answered(held, 7, 4, received=2)
    assert held.recall(7, 3, received=2) == Outcome(4, b"")
    for sequence in (1, 2):
        with pytest.raises(errors.StoreError, match="keeps no answer"):
            held.recall(7, sequence, received=2)


def test_a_session_that_nobody_opened_is_refused() -> None:
    with pytest.raises(errors.StoreError):
        Sessions().recall(7, 1, received=0)


def test_sessions_and_answers_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)
    monkeypatch.setattr(sessions, "ANSWERS_MAX", 2)
    held = Sessions()
    for number in (1, 2, 3, 4):
        held.open(number)
    with pytest.raises(errors.StoreError):
        held.recall(1, 1, received=0)
    for sequence in (1, 2, 3):
        answered(held, 4, sequence)
    with pytest.raises(errors.StoreError, match="keeps no answer"):
        held.recall(4, 1, received=0)
    assert held.recall(4, 3, received=0) is not None
    assert len(held) == 3


def test_large_answers_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ANSWER_BYTES_MAX", 100)
    held = Sessions()
    held.open(1)
    for sequence in (1, 2, 3):
        answered(held, 1, sequence, response=bytes(60))
    with pytest.raises(errors.StoreError, match="keeps no answer"):
        held.recall(1, 2, received=0)
    assert held.recall(1, 3, received=0) is not None


_OPERATIONS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(0, 12)), max_size=60)


@given(_OPERATIONS, st.integers(0, 60))
def test_nothing_happens_twice_and_a_restart_changes_nothing(
    operations: list[tuple[int, int, int]], restart_at: int
) -> None:
    held = Sessions()
    happened: set[tuple[int, int]] = set()
    for number in (1, 2, 3):
        held.open(number)
    for place, (number, sequence, received) in enumerate(operations):
        if place == restart_at:
            again = Sessions()
            again.load(held.dump())
            assert again.dump() == held.dump()
            held = again
        try:
            known = held.recall(number, sequence, received=min(received, sequence - 1))
        except errors.StoreError:
            continue
        assert ((number, sequence) in happened) is (known is not None)
        if known is None:
            happened.add((number, sequence))
            held.remember(number, sequence, Outcome(1, b""))
