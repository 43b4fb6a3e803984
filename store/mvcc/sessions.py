"""Answers that were given, so that an operation which its client sends again is answered and not repeated.

A session is opened by a log entry under a number that nobody else draws. Its operations carry sequence numbers; the
answer of each is kept until the client says that it arrived. What does not fit goes deterministically, oldest first:
ANSWERS_MAX answers and ANSWER_BYTES_MAX a session, the sessions unused for longest beyond SESSIONS_MAX or
SESSIONS_BYTES_MAX. An operation whose answer may have gone is refused: it never takes effect twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from raftsman.store import errors

SESSIONS_MAX = 1_000
SESSIONS_BYTES_MAX = 64 << 20
ANSWERS_MAX = 4_096
ANSWER_BYTES_MAX = 8 << 20


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an operation ended: the revision and etcd's answer without a header, or an error's code and text."""

    revision: int
    response: bytes
    code: int = 0
    text: str = ""

    @classmethod
    def of(cls, answer: Any) -> Outcome:
        """What applying an operation answered. The header, which it loses, is everybody's own but for the revision."""
        if isinstance(answer, Outcome):
            return answer
        revision: int = answer.header.revision
        answer.ClearField("header")
        return cls(revision, answer.SerializeToString())

    @property
    def size(self) -> int:
        return len(self.response) + len(self.text)


_Dumped = tuple[int, int, list[tuple[int, int, bytes, int, str]]]


@dataclass(slots=True)
class _Session:
    """Everything up to `floor` is answered or refused for good, but for the `answers` that are kept."""

    floor: int = 0
    size: int = 0
    answers: dict[int, Outcome] = field(default_factory=dict)


class Sessions:
    """Every session by its number, the longest unused first.

    After operations 1 to 3 of session 7, whose client then sends operation 4 and has received 1 and 2:

        7: floor 2, 3 -> revision 12, 4 -> revision 13

    Sent again, 3 is answered with revision 12 and 2 is refused.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[int, _Session] = OrderedDict()
        self._size = 0
        self._newest = (0, _Session())  # the one that was used last, at the end of the order already

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, number: int) -> None:
        """Begin a session; one that is there already goes on."""
        self._sessions.setdefault(number, _Session())
        self._use(number)
        self._drop_sessions()

    def recall(self, number: int, sequence: int, *, received: int) -> Outcome | None:
        """What the operation was answered, None if it has not happened.

        Raises session_unknown, and answer_forgotten when it cannot be told.
        """
        session = self._newest[1] if number == self._newest[0] else self._use(number)
        if received > session.floor:
            self._forget(session, received)
        known = session.answers.get(sequence)
        if known is None and sequence <= session.floor:
            raise errors.answer_forgotten()
        return known

    def remember(self, number: int, sequence: int, outcome: Outcome) -> None:
        """Keep the answer of what `recall` did not know."""
        session = self._newest[1] if number == self._newest[0] else self._use(number)
        answers = session.answers
        answers[sequence] = outcome
        size = outcome.size
        if size:
            self._grow(session, size)
        while len(answers) > ANSWERS_MAX or session.size > ANSWER_BYTES_MAX:
            oldest = next(iter(answers))
            session.floor = max(session.floor, oldest)
            self._grow(session, -answers.pop(oldest).size)
        if self._size > SESSIONS_BYTES_MAX:
            self._drop_sessions()

    def _use(self, number: int) -> _Session:
        session = self._sessions.get(number)
        if session is None:
            raise errors.session_unknown()
        self._sessions.move_to_end(number)
        self._newest = (number, session)
        return session

    def _forget(self, session: _Session, received: int) -> None:
        """The client has every answer up to `received`."""
        answers = session.answers
        gone: Iterable[int] = range(session.floor + 1, received + 1)
        if received - session.floor > len(answers):
            gone = [sequence for sequence in answers if sequence <= received]
        for sequence in gone:
            outcome = answers.pop(sequence, None)
            if outcome is not None:
                self._grow(session, -outcome.size)
        session.floor = received

    def _grow(self, session: _Session, size: int) -> None:
        session.size += size
        self._size += size

    def _drop_sessions(self) -> None:
        while len(self._sessions) > SESSIONS_MAX or self._size > SESSIONS_BYTES_MAX:
            number, session = self._sessions.popitem(last=False)
            self._size -= session.size
            if number == self._newest[0]:
                self._newest = (0, _Session())

    # -- state.Part

    def dump(self) -> list[_Dumped]:
        """(number, floor, answers) of every session, in their order."""
        return [
            (number, session.floor, [_row(sequence, outcome) for sequence, outcome in session.answers.items()])
            for number, session in self._sessions.items()
        ]

    def load(self, dumped: Iterable[_Dumped]) -> None:
        for number, floor, answers in dumped:
            session = self._sessions[number] = _Session(floor)
            for sequence, revision, response, code, text in answers:
                session.answers[sequence] = kept = Outcome(revision, response, code, text)
                self._grow(session, kept.size)


def _row(sequence: int, outcome: Outcome) -> tuple[int, int, bytes, int, str]:
    return sequence, outcome.revision, outcome.response, outcome.code, outcome.text
