"""Writes of a caller whom this member knows less about than the log: asked once more, never done twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import NOBODY, Who
from raftsman.store.server.answers import Answers

USER = Who("user", 5)


class Side:
    """A member behind the log: whom it takes a caller for, call by call, and what the log makes of them."""

    def __init__(self, *known: Who, refuses: dict[Who, errors.StoreError]) -> None:
        self._known = list(known)
        self._refuses = refuses
        self.proposed: list[Who] = []
        self.role = SimpleNamespace(term=1)
        self.state = SimpleNamespace(revision=9)

    async def permit_user(self, context: object) -> Who:
        return self._known.pop(0)

    async def propose(self, kind: Kind, payload: bytes, *, who: Who) -> rpc_pb2.PutResponse:
        self.proposed.append(who)
        if who in self._refuses:
            raise self._refuses[who]
        return rpc_pb2.PutResponse()

    async def put(self) -> rpc_pb2.PutResponse:
        cluster: Any = SimpleNamespace(id=1, member=2)
        answers = Answers(self, cluster, self)  # type: ignore[arg-type]
        return await answers.write(Kind.PUT, rpc_pb2.PutRequest(key=b"k"), None, rpc_pb2.PutResponse)  # type: ignore[arg-type]


async def test_authentication_that_the_log_knew_of_first_is_answered_with_the_callers_name() -> None:
    side = Side(NOBODY, USER, refuses={NOBODY: errors.user_empty()})
    assert (await side.put()).header.revision == 9
    assert side.proposed == [NOBODY, USER]


async def test_a_change_of_users_on_the_way_is_no_refusal() -> None:
    later = Who("user", 6)
    side = Side(USER, later, refuses={USER: errors.old_auth_revision()})
    await side.put()
    assert side.proposed == [USER, later]


@pytest.mark.parametrize(
    ("known", "error"),
    [
        ((NOBODY, NOBODY), errors.user_empty()),
        ((USER, USER), errors.old_auth_revision()),
        ((USER,), errors.permission_denied()),
        ((USER,), errors.timed_out()),
    ],
)
async def test_nothing_else_is_asked_twice(known: tuple[Who, ...], error: errors.StoreError) -> None:
    side = Side(*known, refuses=dict.fromkeys(known, error))
    with pytest.raises(errors.StoreError, match=error.text):
        await side.put()
    assert len(side.proposed) == 1
