"""The Raft log in memory is the Raft log on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import Unsynced
from raftsman.store import wal
from raftsman.store.raft.journal import NO_OP, WalJournal


def opened(folder: Path) -> WalJournal:
    return WalJournal(wal.Wal(folder, segment_bytes=4096, disk=Unsynced()))


def filled(folder: Path, entries: int) -> WalJournal:
    journal = opened(folder)
    for index in range(1, entries + 1):
        journal.add(b"%d" % index, index, 1)
    journal.sync()
    return journal


def test_term_and_vote_are_on_disk_before_the_answer(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.setCurrentTerm(7, "b:1")
    again = opened(tmp_path)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "b:1")


def test_entries_that_were_not_synced_are_gone_after_a_crash(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    journal.add(b"lost", 4, 1)
    assert opened(tmp_path).last_index == 3


def test_compaction_keeps_trailing_entries_and_frees_segments(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for index in range(1, 101):
        journal.add(b"x" * 200, index, 1)
        journal.sync()
    assert len(list(tmp_path.iterdir())) > 4
    journal.compact(90, entries_max=20, bytes_max=1 << 20)
    assert (journal.first_index, journal.last_index, len(journal)) == (70, 100, 31)
    journal.compact(95, entries_max=20, bytes_max=2000)
    assert journal.first_index > 85
    assert len(list(tmp_path.iterdir())) <= 3
    again = opened(tmp_path)
    assert again[:] == journal[:]
    assert again.bytes == journal.bytes


def test_committed_entries_cannot_be_truncated(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    journal.setRaftCommitIndex(4)
    with pytest.raises(AssertionError, match="committed"):
        journal.deleteEntriesFrom(3)
    journal.deleteEntriesFrom(4)
    assert journal.last_index == 4


def test_a_reset_leaves_one_entry_and_one_segment(tmp_path: Path) -> None:
    journal = filled(tmp_path, 200)
    journal.setCurrentTerm(3, None)
    journal.reset(1000, 2)
    again = opened(tmp_path)
    assert again[:] == [(NO_OP, 1000, 2)]
    assert (again.getCurrentTerm(), again.getRaftCommitIndex()) == (3, 1000)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5), st.integers(0, 900)),
        st.tuples(st.just("truncate"), st.integers(1, 8), st.just(0)),
        st.tuples(st.just("compact"), st.integers(0, 10), st.just(0)),
        st.tuples(st.just("reset"), st.integers(1, 50), st.just(0)),
        st.tuples(st.just("reopen"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_whatever_happens_a_restart_sees_what_memory_had(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    journal = opened(folder)
    journal.add(NO_OP, 1, 0)
    journal.sync()
    for step, number, size in steps:
        if step == "add":
            for _ in range(number):
                journal.add(b"e" * size, journal.last_index + 1, 1)
        elif step == "truncate":
            keep = max(journal.getRaftCommitIndex() + 1 - journal.first_index, len(journal) - number, 1)
            journal.deleteEntriesFrom(keep)
        elif step == "compact":
            journal.compact(min(journal.first_index + number, journal.last_index), entries_max=1, bytes_max=1 << 20)
        elif step == "reset":
            journal.reset(journal.last_index + number, 1)
        journal.sync()
        if step == "reopen":
            journal._destroy()
            before = journal[:]
            journal = opened(folder)
            assert journal[:] == before
    assert opened(folder)[:] == journal[:]
