"""Snapshots: whole or refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from raftsman.etcd import rpc_pb2
from raftsman.store import mvcc, snapshot
from raftsman.store.mvcc.hash import UNKNOWN
from raftsman.store.wal import disk


def captured(keys: int) -> tuple[snapshot.Capture, mvcc.State]:
    state = mvcc.State()
    state.grant(7, 60)
    for number in range(keys):
        state.put(rpc_pb2.PutRequest(key=b"%d" % number, value=b"v" * 5, lease=7 if number % 2 else 0))
    state.delete_range(rpc_pb2.DeleteRangeRequest(key=b"0"))
    head = snapshot.Head(index=keys, term=2, revision=state.revision, compacted=0, cluster="c")
    return snapshot.Capture(head, state.copy_of_parts(), [list(state.records())]), state


def test_a_state_is_read_back_with_its_history(tmp_path: Path) -> None:
    capture, state = captured(1200)
    path = snapshot.write(tmp_path, capture)
    head, loaded = snapshot.load(path)
    assert (head, snapshot.verify(path), snapshot.newest(tmp_path)) == (capture.head, capture.head, path)
    assert list(loaded.records()) == list(state.records())
    assert list(loaded.history.since(2)) == list(state.history.since(2))
    assert loaded.leases.require(7).keys == state.leases.require(7).keys
    assert (loaded.revision, len(loaded.index)) == (state.revision, 1199)


def test_every_flip_and_every_truncation_is_refused(tmp_path: Path) -> None:
    path = snapshot.write(tmp_path, captured(4)[0])
    whole = path.read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        for content in (bytes(broken), whole[:place]):
            path.write_bytes(content)
            with pytest.raises(snapshot.SnapshotDamaged, match=path.name):
                snapshot.load(path)
            with pytest.raises(snapshot.SnapshotDamaged, match=path.name):
                snapshot.verify(path)


def test_a_crash_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = snapshot.write(tmp_path, captured(3)[0])

    def crash(*_: object) -> None:
        raise OSError("crashed")

    with monkeypatch.context() as patched:
        patched.setattr(disk.os, "rename", crash)
        with pytest.raises(OSError, match="crashed"):
            snapshot.write(tmp_path, captured(5)[0])
    assert snapshot.newest(tmp_path) == old
    assert [path.name for path in tmp_path.iterdir()] == [old.name]
    new = snapshot.write(tmp_path, captured(5)[0])
    snapshot.drop_older(new)
    assert list(tmp_path.iterdir()) == [new]


def test_a_state_that_does_not_come_to_what_its_head_says_is_refused(tmp_path: Path) -> None:
    capture, state = captured(10)
    right = snapshot.Head.of(state, index=10, term=2, cluster="c")
    path = snapshot.write(tmp_path, msgspec.structs.replace(capture, head=right))
    assert snapshot.load(path)[1].hash.value == state.hash.value
    for wrong in (
        msgspec.structs.replace(right, bytes=state.bytes - 1),
        msgspec.structs.replace(right, hash=state.hash.value ^ 1),
    ):
        path = snapshot.write(tmp_path, msgspec.structs.replace(capture, head=wrong))
        with pytest.raises(snapshot.SnapshotDamaged, match="not what it says"):
            snapshot.load(path)


def test_a_snapshot_from_before_there_were_digests_has_none(tmp_path: Path) -> None:
    capture, state = captured(10)
    parts = {name: dumped for name, dumped in capture.parts.items() if name == "leases"}
    old = snapshot.load(snapshot.write(tmp_path, msgspec.structs.replace(capture, parts=parts)))[1]
    assert list(old.records()) == list(state.records())
    assert old.hash.value == UNKNOWN
    old.put(rpc_pb2.PutRequest(key=b"a"))
    old.grant(9, 60)
    assert old.hash.value == UNKNOWN


def test_what_a_newer_program_wrote_is_refused_by_name(tmp_path: Path) -> None:
    capture, _ = captured(1)
    path = snapshot.write(tmp_path, msgspec.structs.replace(capture, parts={**capture.parts, "wings": 2}))
    with pytest.raises(snapshot.SnapshotDamaged, match="newer program: it holds wings"):
        snapshot.load(path)


def test_large_records_get_small_frames(tmp_path: Path) -> None:
    state = mvcc.State()
    for number in range(20):
        state.put(rpc_pb2.PutRequest(key=b"%d" % number, value=bytes(snapshot.FRAME_BYTES // 2)))
    head = snapshot.Head.of(state, index=1, term=1, cluster="c")
    path = snapshot.write(tmp_path, snapshot.Capture(head, state.copy_of_parts(), [list(state.records())]))
    with path.open("rb") as file:
        longest = max(map(len, snapshot._frames(path, file)))
    assert longest < 2 * snapshot.FRAME_BYTES
    assert list(snapshot.load(path)[1].records()) == list(state.records())
