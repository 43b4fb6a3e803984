"""Who is woken by which change: the files by prefix against asking every watch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.store import mvcc
from raftsman.store.mvcc import watchers
from raftsman.store.mvcc.history import History
from raftsman.store.mvcc.index import contains

KEYS = st.sampled_from([b"a", b"aa", b"aab", b"ab", b"b", b"ba", b"b\xff", b"\xff", b"\xff\xff"])
RANGES = st.tuples(KEYS, st.one_of(st.just(b""), st.just(b"\0"), KEYS)) | KEYS.map(
    lambda prefix: (prefix, watchers.after_prefix(prefix))
)


def history(keys: list[tuple[bytes, bool]]) -> History:
    made = History(2)
    for revision, (key, deleted) in enumerate(keys, 2):
        record = mvcc.Record(key, b"", 0 if deleted else 2, revision, 0, 0 if deleted else 1, 0)
        made.append([mvcc.Change(record, None)], useless=0)
    return made


@settings(max_examples=300)
@given(
    st.lists(st.tuples(RANGES, st.booleans(), st.booleans(), st.integers(1, 6)), max_size=8),
    st.lists(st.tuples(KEYS, st.booleans()), min_size=1, max_size=6),
    st.data(),
)
def test_those_are_woken_who_watch_what_changed(
    ranges: list[tuple[tuple[bytes, bytes], bool, bool, int]], keys: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    changed = history(keys)
    filed = watchers.Watchers()
    watches = [
        watchers.Watch(id=number, key=key, range_end=end, start=start, puts=puts, deletes=deletes)
        for number, ((key, end), puts, deletes, start) in enumerate(ranges)
    ]
    for watch in watches:
        filed.add(watch)
    for watch in data.draw(st.lists(st.sampled_from(watches), unique=True, max_size=2) if watches else st.just([])):
        filed.remove(watch)
        filed.remove(watch)
        watches.remove(watch)
    assert (len(filed), set(filed.all())) == (len(watches), set(watches))

    def first(watch: watchers.Watch) -> int | None:
        for revision, changes in changed.since(2):
            record = changes[0].record
            wanted = watch.puts if record.version else watch.deletes
            if wanted and revision >= watch.start and contains(watch.key, watch.range_end, record.key):
                return revision
        return None

    wanted = {watch.id: revision for watch in watches if (revision := first(watch)) is not None}
    woken = filed.changed(changed, first=2, last=changed.last)
    assert {watch.id: watch.pending for watch in woken} == wanted
    assert not filed.changed(changed, first=2, last=changed.last)  # they have something to send already


@given(KEYS, st.lists(KEYS))
def test_the_range_of_a_prefix_covers_what_begins_with_it(prefix: bytes, keys: list[bytes]) -> None:
    end = watchers.after_prefix(prefix)
    for key in keys:
        if end != b"\0":
            assert contains(prefix, end, key) is key.startswith(prefix)


def test_a_look_that_is_cut_short_finds_the_rest_later() -> None:
    changed = history([(b"b", False)] * 10 + [(b"a", False)])
    watch = watchers.Watch(id=1, key=b"a", range_end=b"", start=2, pending=2)
    seen: list[mvcc.Change] = []
    looks = 0
    while watch.pending is not None:
        batch = watchers.collect(watch, changed, changes_max=5, bytes_max=100, scan_max=4)
        seen += batch.changes
        looks += 1
    assert [change.record.mod_revision for change in seen] == [12]
    assert looks == 3
