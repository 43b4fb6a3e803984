"""`etcdctl make-mirror`: what is in one store, and what is written there, arrives in another; one may be etcd."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import etcds
import grpc.aio
import members
import pytest
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

pytestmark = [pytest.mark.etcdctl, pytest.mark.etcd]
Put, Op = rpc_pb2.PutRequest, rpc_pb2.RequestOp
KEYS = 1500
"""More than one page of what make-mirror reads at first."""


@contextmanager
def mirroring(source: str, target: str, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        command = ["etcdctl", "--endpoints", source, "make-mirror", target]
        process = subprocess.Popen(command, env=etcds.ENVIRONMENT, stdout=output, stderr=output)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


async def content(channel: grpc.aio.Channel) -> dict[bytes, bytes]:
    return {kv.key: kv.value for kv in (await etcds.everything(channel)).kvs}


async def until_alike(source: grpc.aio.Channel, target: grpc.aio.Channel) -> dict[bytes, bytes]:
    deadline = time.monotonic() + 20
    expected = await content(source)
    while (found := await content(target)) != expected:
        assert time.monotonic() < deadline, f"{len(found)} of {len(expected)} keys"
        await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize(("source", "target"), [("ours", "ours"), ("ours", "etcd"), ("etcd", "ours")])
async def test_a_mirror_begins_with_everything_and_follows(tmp_path: Path, source: str, target: str) -> None:
    with ExitStack() as stack:
        servers: list[members.Store | etcds.Etcd] = []
        for place, kind in enumerate((source, target)):
            lone = members.lone if kind == "ours" else etcds.lone
            servers.append(stack.enter_context(lone(tmp_path / f"{place}")))
        async with servers[0].channel() as here, servers[1].channel() as there:
            for channel in (here, there):
                await etcds.ready(channel)
            kv = rpc_pb2_grpc.KVStub(here)
            await asyncio.gather(*(kv.Put(Put(key=b"k%04d" % number, value=b"1")) for number in range(KEYS)))
            with mirroring(servers[0].address, servers[1].address, tmp_path / "log"):
                assert len(await until_alike(here, there)) == KEYS
                await kv.DeleteRange(rpc_pb2.DeleteRangeRequest(key=b"k0000", range_end=b"k0100"))
                puts = [Op(request_put=Put(key=b"t%d" % number, value=b"2")) for number in range(50)]
                await kv.Txn(rpc_pb2.TxnRequest(success=[*puts, Op(request_delete_range={"key": b"k0500"})]))
                await kv.Put(Put(key=b"k0501", value=b"x" * 500_000))
                assert len(await until_alike(here, there)) == KEYS - 101 + 50
