"""Whatever byte of a member's files changes or is missing: what was there is read, or the file is named and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import cluster, wal
from raftsman.store.raft.journal import Beginning, WalJournal
from raftsman.store.wal.disk import File, Real

Put = rpc_pb2.PutRequest
SEGMENT = 4096
VALUE = b"damage me"


def bits_flipped(whole: bytes) -> Iterator[bytes]:
    """Every byte of what was written and of some zeros behind it; at the beginning every bit."""
    for place in range(min(len(whole), len(whole.rstrip(b"\0")) + 30)):
        for bit in range(8) if place < 300 else (place % 8,):
            broken = bytearray(whole)
            broken[place] ^= 1 << bit
            yield bytes(broken)


def truncated(whole: bytes) -> Iterator[bytes]:
    for length in range(len(whole)):
        yield whole[:length]


Damage = Callable[[bytes], Iterator[bytes]]


class Unsynced(Real):
    """What is damaged afterwards need not survive a power loss."""

    def sync(self, file: File) -> None: ...

    def sync_data(self, file: File) -> None: ...

    def sync_folder(self, folder: Path) -> None: ...


def journal(folder: Path) -> WalJournal:
    return WalJournal(wal.Wal(folder, segment_bytes=SEGMENT, disk=Unsynced()))


def read(folder: Path) -> tuple[object, ...]:
    opened = journal(folder)
    try:
        return opened[:], opened.getCurrentTerm(), opened.getVotedForNodeId(), opened.members.dump()
    finally:
        opened._destroy()


@pytest.mark.parametrize("damage", [bits_flipped, truncated])
def test_the_log_with_its_terms_votes_and_members_is_as_it_was_or_refused(tmp_path: Path, damage: Damage) -> None:
    written = journal(tmp_path)
    written.begin(members.alone(7))
    for index in range(2, 14):
        written.add(b"entry %d " % index + bytes(range(1, 250)), index, index // 4)
        written.setCurrentTerm(index // 4, f"{index:x}")
        written.sync()
    written.deleteEntriesFrom(len(written) - 2)
    written.sync()
    written._destroy()
    whole = read(tmp_path)
    paths = sorted(tmp_path.glob("wal-*.log"))
    assert len(paths) == 2
    refused: list[str] = []
    for path in paths:
        content = path.read_bytes()
        for broken in damage(content):
            path.unlink()  # some file systems write out what replaces a file's content
            path.write_bytes(broken)
            try:
                assert read(tmp_path) == whole
            except wal.WalDamaged as error:
                if path.name not in str(error):
                    raise
                refused.append(str(error))
        path.write_bytes(content)
    assert len(refused) > 1000
    assert read(tmp_path) == whole


@pytest.mark.parametrize("damage", [bits_flipped, truncated])
def test_who_a_member_is_is_as_it_was_or_refused(tmp_path: Path, damage: Damage) -> None:
    who = cluster.Cluster(0x123456789ABCDEF, 0xFEDCBA987654321, cluster.new_instance())
    beginning = Beginning(entry=b"\x01\x02 and more")
    cluster.keep(tmp_path, who, beginning)
    path = tmp_path / cluster.FILE
    for broken in damage(path.read_bytes()):
        path.write_bytes(broken)
        try:
            assert cluster.kept(tmp_path) == (who, beginning)
        except cluster.BadIdentity as error:
            if str(path) not in str(error):
                raise


def test_who_a_member_is_was_once_written_without_a_check(tmp_path: Path) -> None:
    (tmp_path / cluster.FILE).write_text('{"version":1,"cluster":"a","member":"b","instance":"c","beginning":null}')
    assert cluster.kept(tmp_path) == (cluster.Cluster(10, 11, "c"), None)


@pytest.mark.parametrize("how", ["flipped", "cut"])
async def test_a_damaged_snapshot_stops_its_member_with_its_name(tmp_path: Path, how: str) -> None:
    with members.lone(tmp_path, "--snapshot-count", "5") as store:
        await store.ready()
        async with store.channel() as channel:
            for _ in range(20):
                await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a", value=VALUE))
        assert store.stop() == 0
        path = max((tmp_path / "data" / "snap").glob("snap-*"))
        whole = path.read_bytes()
        at = whole.index(VALUE)
        path.write_bytes(whole[:at] + b"D" + whole[at + 1 :] if how == "flipped" else whole[:at])
        store.start()
        assert store.process is not None
        assert store.process.wait(20) == 1
        assert f"{path}" in store.log
        assert "damaged" in store.log or "ends" in store.log
        path.write_bytes(whole)
        store.start()
        await store.ready()
