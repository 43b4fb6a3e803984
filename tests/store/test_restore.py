"""`python -m raftsman.store restore`: new clusters from backups of ours and of Debian's etcd, or nothing at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import etcds
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import backup, restore
from test_backup import busy_state, save

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raftsman.store", "restore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def restored(store: members.Store, path: Path, *arguments: str) -> None:
    """Restore a backup as the data of a member that was not started yet."""
    named = ("--name=", "--initial-cluster=", "--initial-cluster-token=")
    flags = [flag for flag in store.flags if flag.startswith(named)]
    peer = next(
        flag.removeprefix("--listen-peer-urls=") for flag in _joined(store.flags) if "--listen-peer-urls=" in flag
    )
    store.folder.mkdir(parents=True)
    done = run(path, f"--data-dir={store.folder}/data", f"--initial-advertise-peer-urls={peer}", *flags, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Restored revision")


def _joined(flags: list[str]) -> list[str]:
    """`--flag value` as `--flag=value`."""
    pairs = zip(flags, [*flags[1:], ""], strict=True)
    return [flag if "=" in flag else f"{flag}={value}" for flag, value in pairs if flag.startswith("--")]


async def backed_up(store: members.Store) -> bytes:
    """A backup, whoever leads."""
    async with store.channel() as channel:
        stream = rpc_pb2_grpc.MaintenanceStub(channel).Snapshot(rpc_pb2.SnapshotRequest())
        return b"".join([piece.blob async for piece in stream])


async def test_a_member_goes_on_where_the_backup_ends(tmp_path: Path) -> None:
    state = busy_state()
    path = save(tmp_path / "backup", state)
    with members.lone(tmp_path / "a", start=False) as store:
        restored(store, path)
        store.start()
        await store.ready()
        for _ in range(2):
            async with store.channel() as channel:
                for revision in (1500, 2500, state.revision):
                    request = Range(key=b"\0", range_end=b"\0", revision=revision)
                    assert await etcds.everything(channel, revision) == state.range(request)
                written = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"after"))
                assert written.header.revision == state.revision + 1
                lease = rpc_pb2.LeaseTimeToLiveRequest(ID=7, keys=True)
                leased = await rpc_pb2_grpc.LeaseStub(channel).LeaseTimeToLive(lease)
                assert (leased.grantedTTL, len(leased.keys)) == (600, len(state.leases.require(7).keys))
            state.put(Put(key=b"after"))
            store.kill()
            store.start()
            await store.ready()


async def test_three_members_begin_alike_and_go_on(tmp_path: Path) -> None:
    state = busy_state()
    path = save(tmp_path / "backup", state)
    with members.three(tmp_path / "c", start=False) as stores:
        for store in stores:
            restored(store, path)
        snapshots = {next((store.folder / "data" / "snap").iterdir()).read_bytes() for store in stores}
        assert len(snapshots) == 1
        for store in stores:
            store.start()
        await asyncio.gather(*(store.ready() for store in stores))
        async with stores[0].channel() as channel:
            written = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"after"))
            assert written.header.revision == state.revision + 1
        state.put(Put(key=b"after"))
        expected = state.range(Range(key=b"\0", range_end=b"\0"))
        for store in stores:
            async with store.channel() as channel:
                assert await etcds.everything(channel) == expected
            again = tmp_path / "again"
            again.write_bytes(await backed_up(store))
            assert list(backup.read(again).records()) == list(state.records())


@pytest.mark.etcdctl
@pytest.mark.etcd
async def test_etcds_own_backup_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with etcds.lone(tmp_path / "etcd") as etcd:
        for number in range(60):
            etcds.ctl(etcd.address, "put", f"k{number % 7}", str(number))
        etcds.ctl(etcd.address, "del", "k3")
        etcds.ctl(etcd.address, "put", "large", feed="x" * 100_000)
        lease = etcds.ctl(etcd.address, "lease", "grant", "600").split()[1]
        etcds.ctl(etcd.address, "put", "leased", "1", f"--lease={lease}")
        etcds.ctl(etcd.address, "compact", "20")
        etcds.ctl(etcd.address, "user", "add", "root:secret")
        etcds.ctl(etcd.address, "role", "add", "reader")
        etcds.ctl(etcd.address, "role", "grant-permission", "reader", "read", "k0", "k5")
        etcds.ctl(etcd.address, "user", "add", "u:pass")
        etcds.ctl(etcd.address, "user", "grant-role", "u", "reader")
        etcds.ctl(etcd.address, "user", "grant-role", "root", "root")
        async with etcd.channel() as channel:
            expected = {revision: await etcds.everything(channel, revision) for revision in (0, 20, 40)}
        etcds.ctl(etcd.address, "auth", "enable")
        etcds.ctl(etcd.address, "--user=root:secret", "snapshot", "save", str(path))
    with members.lone(tmp_path / "a", start=False) as store:
        restored(store, path)
        store.start()
        etcds.until_answered(store.address, "--user=root:secret", "get", "k0")
        assert etcds.ctl(store.address, "--user=u:pass", "get", "k1", "--print-value-only").strip() == "57"
        assert "permission denied" in etcds.ctl(store.address, "--user=u:pass", "get", "k5", fails=True)
        assert "remaining" in etcds.ctl(store.address, "--user=root:secret", "lease", "timetolive", lease, "--keys")
        etcds.ctl(store.address, "--user=root:secret", "auth", "disable")
        async with store.channel() as channel:
            for revision, answer in expected.items():
                assert await etcds.everything(channel, revision) == answer


async def test_a_bumped_revision_ends_every_old_watch(tmp_path: Path) -> None:
    state = busy_state()
    path = save(tmp_path / "backup", state)
    bumped = state.revision + 1_000_000
    with members.lone(tmp_path / "a", start=False) as store:
        restored(store, path, "--bump-revision=1000000", "--mark-compacted")
        store.start()
        await store.ready()
        async with store.channel() as channel:
            found = await etcds.everything(channel)
            assert found == state.range(Range(key=b"\0", range_end=b"\0"))
            watch = rpc_pb2_grpc.WatchStub(channel).Watch()
            create = rpc_pb2.WatchCreateRequest(key=b"k1", start_revision=state.revision + 1)
            await watch.write(rpc_pb2.WatchRequest(create_request=create))
            answers = [await watch.read(), await watch.read()]
            assert (answers[1].canceled, answers[1].compact_revision) == (True, bumped)
            watch.cancel()
            written = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"after"))
            assert written.header.revision == bumped + 1


def test_what_is_no_backup_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    path = save(tmp_path / "backup", busy_state())
    whole = path.read_bytes()
    bad = tmp_path / "bad"
    contents = [b"", b"text" * 136, whole[:-1], whole[: len(whole) // 2], b"\1" + whole[1:], whole[:-1] + b"\0"]
    for content in contents:
        bad.write_bytes(content)
        done = run(bad, "--data-dir", tmp_path / "data")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {bad}")
        assert len(done.stderr.splitlines()) == 1
    missing = run(tmp_path / "none", "--data-dir", tmp_path / "data")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup", "bad"]


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "backup", busy_state())
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("mine")
    done = run(path, "--data-dir", data)
    assert done.returncode == 1
    assert f"--data-dir {data} exists" in done.stderr
    assert [each.name for each in data.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = restore.parse([str(save(tmp_path / "backup", busy_state())), "--data-dir", str(tmp_path / "data")])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raftsman.store.restore.WalJournal.reset", full)
    with pytest.raises(OSError, match="No space left"):
        restore.restore(order)
    assert [each.name for each in tmp_path.iterdir()] == ["backup"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--name=x", "--initial-cluster=a=http://127.0.0.1:1"], "does not name this member"),
        (["--initial-cluster=default=http://127.0.0.1:1"], "--initial-advertise-peer-urls at"),
        (["--bump-revision=5"], "go together"),
        (["--mark-compacted"], "go together"),
        (["--bump-revision=-5", "--mark-compacted"], "is not a number of revisions"),
        (["--wal-dir=/x"], "--wal-dir"),
    ],
)
def test_flags_that_make_no_sense_are_named(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        restore.parse(["backup", *flags])
    assert exit_.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_command_line_has_the_store(tmp_path: Path) -> None:
    raftsman = [sys.executable, "-m", "raftsman.cli.main", "store"]
    for arguments, code, said in (
        (["--help"], 0, "--listen-client-urls"),
        (["restore", "--help"], 0, "--skip-hash-check"),
        (["restore", str(tmp_path / "none")], 1, "No such file"),
        (["--frobnicate"], 2, "--frobnicate"),
    ):
        done = subprocess.run([*raftsman, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        assert said in done.stdout + done.stderr
