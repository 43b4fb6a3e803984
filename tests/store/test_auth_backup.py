"""Backups keep users and roles: saved by etcdctl as root, read by the store and by Debian's etcd, and back again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import etcds
import grpc.aio
import logins
import members
import pytest
from logins import Permission
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

pytestmark = pytest.mark.etcdctl
Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest
COST = ("--bcrypt-cost", "4")
ROOT = ("--user", f"root:{logins.ROOT_PASSWORD}")


async def still_told_apart(channel: grpc.aio.Channel) -> None:
    """The user logs in with his password and has what he had, no more."""
    kv = rpc_pb2_grpc.KVStub(channel)
    user = await logins.login(channel, "user", logins.USER_PASSWORD)
    found = await kv.Range(Range(key=b"mine"), metadata=user)
    assert found.kvs[0].value == b"kept"
    for metadata, text in ((user, "permission denied"), ((), "user name is empty")):
        with pytest.raises(grpc.aio.AioRpcError, match=text):
            await kv.Put(Put(key=b"theirs"), metadata=metadata)


async def fill(channel: grpc.aio.Channel) -> None:
    await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"mine", value=b"kept"))
    await logins.prepare(channel, Permission(permType=Permission.READ, key=b"mine"))


async def test_users_of_the_store_are_users_of_an_etcd(tmp_path: Path) -> None:
    with members.lone(tmp_path / "store", *COST) as store:
        async with logins.connected(store) as channel:
            await fill(channel)
        assert "user name is empty" in etcds.ctl(store.address, "snapshot", "save", str(tmp_path / "no"), fails=True)
        etcds.ctl(store.address, *ROOT, "snapshot", "save", str(tmp_path / "saved"))
    with etcds.lone(tmp_path / "etcd", *COST, start=False) as etcd:
        arguments = ["--name=default", f"--initial-cluster=default={etcd.peer_url}", f"--data-dir={etcd.data}"]
        arguments += [f"--initial-advertise-peer-urls={etcd.peer_url}"]
        etcds.ctl("unused", "snapshot", "restore", str(tmp_path / "saved"), *arguments)
        etcd.start()
        async with etcd.channel() as channel:
            await still_told_apart(channel)


async def test_users_of_an_etcd_are_users_of_the_store(tmp_path: Path) -> None:
    with etcds.lone(tmp_path / "etcd", *COST) as etcd:
        async with etcd.channel() as channel:
            await fill(channel)
        etcds.ctl(etcd.address, *ROOT, "snapshot", "save", str(tmp_path / "saved"))
    with members.lone(tmp_path / "store", *COST, start=False) as store:
        store.folder.mkdir()
        peer = store.flags[store.flags.index("--listen-peer-urls") + 1]
        command = [sys.executable, "-m", "raftsman.store", "restore", str(tmp_path / "saved")]
        command += [f"--data-dir={store.folder}/data", f"--initial-advertise-peer-urls={peer}"]
        command += [f"--initial-cluster=default={peer}"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        store.start()
        async with logins.connected_any(store) as channel:
            await still_told_apart(channel)
