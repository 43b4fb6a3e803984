"""Whatever is asked of the members in whatever order, they stay a list that a cluster can run with."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from raftsman.store.errors import StoreError
from raftsman.store.mvcc.members import LEARNERS_MAX, PROPOSED, REFUSALS, Action, Change, Member, Members

IDS = st.integers(1, 6)
URLS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=2, unique=True).map(tuple)
MEMBERS = st.builds(Member, IDS, name=st.sampled_from(("", "x")), peer_urls=URLS, learner=st.booleans())
CHANGES = st.builds(Change, st.sampled_from(sorted(PROPOSED)), st.tuples(MEMBERS)) | st.builds(
    Change, st.just(Action.REFUSE), st.tuples(MEMBERS), refusal=st.sampled_from(sorted(REFUSALS))
)


def founded() -> Members:
    found = Members()
    found.apply(Change(Action.FOUND, (Member(1, "a", ("a",)), Member(2, "b", ("b",))), 7))
    return found


@given(st.lists(CHANGES, max_size=30))
def test_every_history_keeps_what_a_cluster_needs(changes: list[Change]) -> None:
    members, gone = founded(), set[int]()
    for change in changes:
        before = members.dump()
        try:
            members.apply(change)
        except StoreError:
            assert members.dump() == before, "a refusal changes nothing"
            continue
        if change.action is Action.REMOVE:
            gone.add(change.members[0].id)
        urls = [url for member in members.all() for url in member.peer_urls]
        assert len(set(urls)) == len(urls)
        assert len(members.learners()) <= LEARNERS_MAX
        assert not gone & {member.id for member in members.all()}, "an id never comes back"
        assert all(map(members.was_removed, gone))


@given(st.lists(CHANGES, max_size=20))
def test_members_that_are_read_back_are_the_same_and_go_on_the_same(changes: list[Change]) -> None:
    members = founded()
    for change in changes:
        read = Members()
        read.load(msgspec.msgpack.decode(msgspec.msgpack.encode(members.dump())))
        assert read.dump() == members.dump()
        outcomes = []
        for each in (members, read):
            try:
                outcomes.append(str(each.apply(change)))
            except StoreError as error:
                outcomes.append(error.text)
        assert outcomes[0] == outcomes[1]
        assert read.dump() == members.dump()
