"""Backups in both directions: etcd's own tools take ours, and etcd starts from them; ours is read back whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import etcds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raftsman.etcd import auth_pb2, rpc_pb2
from raftsman.store import backup, bolt, mvcc, snapshot
from raftsman.store.mvcc.members import Dumped, Member

Put, Delete = rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest
KEYS = st.sampled_from([b"a", b"b", b"c\xff", b"d" * 300])


def save(path: Path, state: mvcc.State) -> Path:
    """What `etcdctl snapshot save` would leave."""
    head = snapshot.Head(7, 3, state.revision, state.compacted, "c")
    with path.open("w+b") as file:
        backup.write(file, head, state, state.records(), folder=path.parent)
    whole = path.read_bytes()
    path.write_bytes(whole + hashlib.sha256(whole).digest())
    return path


def busy_state() -> mvcc.State:
    """Every kind of thing that a backup holds."""
    state = mvcc.State()
    state.grant(7, 600)
    for number in range(3000):
        size = 10_000 if number % 100 == 0 else number % 400
        state.put(Put(key=b"k%d" % (number % 700), value=b"v" * size, lease=7 * (number % 3 == 0)))
    state.delete_range(Delete(key=b"k1", range_end=b"k2"))
    for number in range(2):
        puts = [rpc_pb2.RequestOp(request_put=Put(key=b"t%d" % key, value=b"%d" % number)) for key in range(100)]
        state.txn(rpc_pb2.TxnRequest(success=puts))
    state.compact(1500)
    return state


def same(found: mvcc.State, state: mvcc.State) -> None:
    assert (found.revision, found.compacted, found.bytes) == (state.revision, state.compacted, state.bytes)
    assert list(found.records()) == list(state.records())
    for part in ("leases", "alarms", "auth"):
        assert found.parts[part].dump() == state.parts[part].dump()


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    state = busy_state()
    state.alarms.activate(int(rpc_pb2.NOSPACE), 99)
    state.auth.user_add("cn", b"", no_password=True)
    state.auth.user_add("root", b"hash")
    state.auth.role_add("r")
    state.auth.role_grant_permission("r", auth_pb2.Permission(permType="READ", key=b"a", range_end=b"b"))
    state.auth.user_grant_role("root", "root")
    state.auth.user_grant_role("cn", "r")
    state.auth.enable()
    same(backup.read(save(tmp_path / "db", state)), state)


@given(
    writes=st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=5) | st.just(b"x" * 6000)), max_size=40),
    compact=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_any_history_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[bytes, bytes | None]], compact: float
) -> None:
    state = mvcc.State()
    for key, value in writes:
        if value is None:
            state.delete_range(Delete(key=key))
        else:
            state.put(Put(key=key, value=value))
    revision = int(compact * state.revision)
    if revision:
        state.compact(revision)
    same(backup.read(save(tmp_path_factory.mktemp("backup") / "db", state)), state)


def test_values_beyond_the_spool_go_through_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "SPOOL_BYTES", 10_000)
    state = busy_state()
    same(backup.read(save(tmp_path / "db", state)), state)
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_members_stand_in_it_for_whoever_looks(tmp_path: Path) -> None:
    """etcd writes the same; whoever restores brings members of its own."""
    state = busy_state()
    one = Member(0x1A, "a", ("http://10.0.0.1:2380",), ("http://10.0.0.1:2379",))
    state.members.load(Dumped(5, (one, Member(0x2B, learner=True)), (0x3C,)))
    with bolt.Database(save(tmp_path / "db", state), trailer=32) as database:
        found = {key: json.loads(value) for key, value in database.items(b"members")}
        assert found[b"1a"] == {
            "id": 0x1A,
            "name": "a",
            "peerURLs": ["http://10.0.0.1:2380"],
            "clientURLs": ["http://10.0.0.1:2379"],
        }
        assert found[b"2b"]["isLearner"]
        assert dict(database.items(b"members_removed")) == {b"3c": b"removed"}
        assert json.loads(dict(database.items(b"meta"))[b"confState"])["voters"] == [0x1A]
    assert not len(backup.read(tmp_path / "db").members)


def test_an_interrupted_compaction_of_etcd_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd notes the revision first and removes what is older by and by."""
    uncompacted = mvcc.State()
    state = mvcc.State()
    for each in (uncompacted, state):
        for number in range(20):
            each.put(Put(key=b"k%d" % (number % 3), value=b"%d" % number))
        each.delete_range(Delete(key=b"k1"))
    state.compact(12)
    head = snapshot.Head(7, 3, state.revision, 12, "c")
    path = tmp_path / "db"
    with path.open("w+b") as file:
        backup.write(file, head, uncompacted, uncompacted.records(), folder=tmp_path)
    same(backup.read(path, check_hash=False), state)


def test_whatever_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "db", busy_state())
    whole = path.read_bytes()
    with pytest.raises(backup.BadBackup, match="no hash is behind it"):
        path.write_bytes(whole[:-32])
        backup.read(path)
    assert backup.read(path, check_hash=False).revision == 3004
    for place in (100, 5000, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(backup.BadBackup, match="not what its hash was made of"):
            backup.read(path)
    for content in (b"", b"x" * 544, whole[:4096] + whole[-32:]):
        path.write_bytes(content)
        for check_hash in (True, False):
            with pytest.raises(backup.BadBackup, match=str(path)):
                backup.read(path, check_hash=check_hash)


def test_a_lost_revision_is_missed(tmp_path: Path) -> None:
    state = mvcc.State()
    for number in range(10):
        state.put(Put(key=b"k%d" % number))
    head = snapshot.Head(7, 3, state.revision, 0, "c")
    path = tmp_path / "db"
    kept = [record for record in state.records() if record.mod_revision != 5]
    with path.open("w+b") as file:
        backup.write(file, head, state, kept, folder=tmp_path)
    with pytest.raises(backup.BadBackup, match="lacks 1 of the revisions between 1 and 11"):
        backup.read(path, check_hash=False)


@pytest.mark.etcdctl
def test_etcdctl_reads_the_status(tmp_path: Path) -> None:
    state = busy_state()
    path = save(tmp_path / "db", state)
    status = json.loads(etcds.ctl("", "snapshot", "status", "-w", "json", str(path)))
    assert status["revision"] == state.revision
    assert status["totalSize"] == path.stat().st_size - 32
    assert status["totalKey"] > len(list(state.records()))
    assert status["hash"] == json.loads(etcds.ctl("", "snapshot", "status", "-w", "json", str(path)))["hash"]


@pytest.mark.etcdctl
@pytest.mark.etcd
async def test_etcd_starts_from_our_backup(tmp_path: Path) -> None:
    state = busy_state()
    path = save(tmp_path / "db", state)
    with etcds.lone(tmp_path / "etcd", start=False) as etcd:
        cluster = ["--initial-cluster", f"default={etcd.peer_url}", "--initial-advertise-peer-urls", etcd.peer_url]
        etcd.folder.mkdir()
        etcds.ctl("", "snapshot", "restore", str(path), "--data-dir", str(etcd.data), *cluster)
        etcd.start()
        async with etcd.channel() as channel:
            for revision in (1500, 1501, 2999, 3002, state.revision):
                request = rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
                assert await etcds.everything(channel, revision) == state.range(request)
        status = json.loads(etcds.ctl(etcd.address, "endpoint", "status", "-w", "json"))
        assert status[0]["Status"]["header"]["revision"] == state.revision
        assert "required revision has been compacted" in etcds.ctl(etcd.address, "get", "a", "--rev=1499", fails=True)
        lease = json.loads(etcds.ctl(etcd.address, "lease", "timetolive", "7", "--keys", "-w", "json"))
        assert lease["granted-ttl"] == 600
        assert len(lease["keys"]) == len(state.leases.require(7).keys)
