"""`python -m raftsman.store snapshot save|status`: a whole backup of ours or of Debian's etcd, or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import etcds
import logins
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import backup
from test_backup import busy_state, save

Put = rpc_pb2.PutRequest


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raftsman.store", "snapshot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


async def filled(store: members.Store) -> int:
    async with store.channel() as channel:
        for number in range(20):
            put = await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"k%d" % number, value=b"v"))
    return put.header.revision


async def test_what_is_saved_is_the_state_and_its_status_says_so(tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    with members.lone(tmp_path / "a") as store:
        await store.ready()
        revision = await filled(store)
        saved = run("save", path, f"--endpoints=http://{store.address}")
    assert (saved.returncode, saved.stderr) == (0, "")
    assert f"revision {revision} " in saved.stdout
    assert len(backup.read(path).index) == 20
    told = json.loads(run("status", path, "-w", "json").stdout)
    assert told["revision"] == revision
    assert told["totalKey"] > 20
    assert sorted(os.listdir(tmp_path)) == ["a", "backup.db"], "nothing else is left"


@pytest.mark.etcdctl
def test_a_backup_of_etcd_is_saved_and_etcdctl_says_the_same_of_it(tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    with etcds.lone(tmp_path / "etcd") as etcd:
        etcds.ctl(etcd.address, "put", "a", "b")
        assert run("save", path, "--endpoints", etcd.address).returncode == 0
        etcds_word = json.loads(etcds.ctl(etcd.address, "snapshot", "status", str(path), "-w", "json"))
    ours = json.loads(run("status", path, "-w", "json").stdout)
    assert {name: etcds_word[name] for name in ours} == ours


def test_a_damaged_backup_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "backup.db", busy_state())
    path.write_bytes(path.read_bytes()[:-1])
    done = run("status", path)
    assert done.returncode == 1
    assert str(path) in done.stderr


def test_nothing_is_left_of_a_backup_that_could_not_be_had(tmp_path: Path) -> None:
    (port,) = members.free_ports(1)
    done = run("save", tmp_path / "backup.db", f"--endpoints=127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "backup.db").write_text("mine")
    done = run("save", tmp_path / "backup.db")
    assert done.returncode == 1
    assert "exists" in done.stderr
    assert (tmp_path / "backup.db").read_text() == "mine"


@pytest.mark.parametrize(
    "flags", [("--cert=x",), ("--endpoints=a:1,b:2",), ("--endpoints=https://a:1",), ("--user=root",)], ids=str
)
def test_flags_that_make_no_sense_are_refused(tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = run("save", tmp_path / "backup.db", *flags)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


async def test_a_user_s_password_comes_from_a_file(tmp_path: Path) -> None:
    with members.lone(tmp_path / "a") as store:
        async with logins.connected(store) as channel:
            await logins.prepare(channel)
        (tmp_path / "password").write_text(f"{logins.ROOT_PASSWORD}\n")
        refused = run("save", tmp_path / "backup.db", f"--endpoints={store.address}")
        assert refused.returncode == 1
        saved = run(
            "save", tmp_path / "backup.db", f"--endpoints={store.address}", "--user=root",
            f"--password-file={tmp_path}/password",
        )  # fmt: skip
    assert saved.returncode == 0, saved.stderr
