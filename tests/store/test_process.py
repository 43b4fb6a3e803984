"""One member as a process: what survives kill -9, what keeps it from starting, who may connect."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc.aio
import members
import pytest
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

Put, Range = rpc_pb2.PutRequest, rpc_pb2.RangeRequest


async def everything(store: members.Store) -> rpc_pb2.RangeResponse:
    async with store.channel() as channel:
        return await rpc_pb2_grpc.KVStub(channel).Range(Range(key=b"\0", range_end=b"\0"))


async def write_until_killed(store: members.Store, *, kill_after_s: float, tag: str) -> dict[bytes, int]:
    """Concurrent writers; answers what was answered: key to revision."""
    answered: dict[bytes, int] = {}

    async def writer(number: int, kv: rpc_pb2_grpc.KVStub) -> None:
        for count in range(100_000):
            key = f"{tag}-{number}-{count}".encode()
            try:
                answered[key] = (await kv.Put(Put(key=key, value=key * 10))).header.revision
            except grpc.aio.AioRpcError:
                return

    async with store.channel() as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        writers = asyncio.gather(*(writer(number, kv) for number in range(16)))
        await asyncio.sleep(kill_after_s)
        store.kill()
        await writers
    return answered


@pytest.mark.parametrize("snapshots", ["10000", "20"])
async def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path, snapshots: str) -> None:
    """Again and again, also while snapshots are written and the log is compacted after every 20 entries."""
    answered: dict[bytes, int] = {}
    with members.lone(tmp_path, "--snapshot-count", snapshots) as store:
        for round_ in range(3):
            await store.ready()
            answered |= await write_until_killed(store, kill_after_s=0.3 + round_ * 0.05, tag=str(round_))
            store.start()
        await store.ready()
        found = {kv.key: kv.mod_revision for kv in (await everything(store)).kvs}
    assert len(answered) > 100
    assert {key: found.get(key) for key in answered} == answered


async def test_the_log_is_compacted(tmp_path: Path) -> None:
    with members.lone(tmp_path, "--auto-compaction-retention", "0") as store:
        await store.ready()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            for _ in range(60):
                await asyncio.gather(*(kv.Put(Put(key=b"k%d" % n, value=bytes(100_000))) for n in range(10)))
        logs = list((tmp_path / "data" / "wal").iterdir())
        assert sum(path.stat().st_size for path in logs) <= 4 * 16 << 20, "what is needed, and a spare segment"
        assert len(list((tmp_path / "data" / "snap").glob("*.rms"))) == 1


async def test_old_revisions_and_leases_survive_a_restart(tmp_path: Path) -> None:
    with members.lone(tmp_path, "--snapshot-count", "5") as store:
        await store.ready()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            await rpc_pb2_grpc.LeaseStub(channel).LeaseGrant(rpc_pb2.LeaseGrantRequest(ID=5, TTL=2))
            first = (await kv.Put(Put(key=b"a", value=b"0", lease=5))).header.revision
            for number in range(1, 20):
                await kv.Put(Put(key=b"a", value=b"%d" % number, lease=5))
        assert store.stop() == 0
        store.start()
        await store.ready()
        async with store.channel() as channel:
            kv = rpc_pb2_grpc.KVStub(channel)
            old = await kv.Range(Range(key=b"a", revision=first + 3))
            assert (old.kvs[0].value, old.kvs[0].version) == (b"3", 4)
            watch = rpc_pb2_grpc.WatchStub(channel).Watch()
            create = rpc_pb2.WatchCreateRequest(key=b"a", start_revision=first)
            await watch.write(rpc_pb2.WatchRequest(create_request=create))
            assert (await watch.read()).created
            assert [event.kv.value for event in (await watch.read()).events] == [b"%d" % n for n in range(20)]
            async with asyncio.timeout(5):
                assert [event.type for event in (await watch.read()).events] == [1], "the lease ran out"
            watch.cancel()


async def test_health_and_metrics(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        for path in ("livez", "readyz", "metrics"):
            url = f"http://127.0.0.1:{store.metrics}/{path}"
            answer = await asyncio.to_thread(urllib.request.urlopen, url, timeout=5)
            assert answer.status == 200


async def test_one_process_a_data_directory(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        second = members.Store(store.folder, *members.free_ports(2))
        second.start()
        assert second.process is not None
        assert second.process.wait(10) == 1
        assert "in use by another store" in store.log


async def test_a_damaged_log_is_refused_with_its_name(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        async with store.channel() as channel:
            for _ in range(5):
                await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a", value=b"value"))
        store.kill()
        path = next((tmp_path / "data" / "wal").glob("*.log"))
        data = bytearray(path.read_bytes())
        data[data.index(b"value")] ^= 1
        path.write_bytes(data)
        store.start()
        assert store.process is not None
        assert store.process.wait(10) == 1
        assert f"{path} is damaged" in store.log


async def test_a_log_that_was_removed_is_missed(tmp_path: Path) -> None:
    with members.lone(tmp_path, "--snapshot-count", "5") as store:
        await store.ready()
        async with store.channel() as channel:
            for _ in range(20):
                await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a", value=b"value"))
        assert store.stop() == 0
        aside = (tmp_path / "data" / "wal").rename(tmp_path / "wal")
        store.start()
        assert store.process is not None
        assert store.process.wait(10) == 1
        assert "is empty" in store.log
        (tmp_path / "data" / "wal").rmdir()
        aside.rename(tmp_path / "data" / "wal")
        store.start()
        await store.ready()
        assert (await everything(store)).kvs[0].version == 20


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--listen-client-urls", "http://10.1.2.3:2379"], "plain text"),
        (["--listen-client-urls", "https://127.0.0.1:2379"], "needs a certificate and a key"),
        (["--listen-client-urls", "ftp://127.0.0.1"], "is not http(s)://HOST:PORT"),
        (["--discovery", "http://127.0.0.1"], "--discovery is not supported: members are named with"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--initial-cluster", "x=http://127.0.0.1:1"], "does not name this member"),
        (["--auto-compaction-retention", "soon"], "'soon' is no duration"),
        (["--cert-file", "/nowhere"], "go together"),
    ],
)
def test_flags_that_make_no_sense_get_a_sentence(tmp_path: Path, flags: list[str], sentence: str) -> None:
    command = [sys.executable, "-m", "raftsman.store", "--data-dir", str(tmp_path), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert sentence in done.stderr


async def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with members.lone(tmp_path / "first") as first:
        await first.ready()
        second = members.Store(tmp_path / "second", first.client, members.free_ports(1)[0])
        second.start()
        assert second.process is not None
        assert second.process.wait(10) == 1
        assert "cannot be had" in second.log


async def test_clients_need_a_certificate(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    cert, key = ours.issue("server", ip="127.0.0.1")
    port, peer, metrics = members.free_ports(3)
    flags = ["--listen-client-urls", f"https://127.0.0.1:{port}", "--listen-peer-urls", f"http://127.0.0.1:{peer}"]
    flags += ["--cert-file", str(cert), "--key-file", str(key), "--trusted-ca-file", str(ours.path)]
    store = members.Store(tmp_path / "store", port, metrics, [*flags, "--client-cert-auth"])
    store.start()
    try:
        request = Put(key=b"a")
        for issuer, allowed in ((ours, True), (theirs, False), (None, False)):
            files = issuer.issue("client", ip="127.0.0.1") if issuer else None
            credentials = grpc.ssl_channel_credentials(
                ours.path.read_bytes(),
                private_key=files[1].read_bytes() if files else None,
                certificate_chain=files[0].read_bytes() if files else None,
            )
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
                call = rpc_pb2_grpc.KVStub(channel).Put(request, wait_for_ready=allowed, timeout=10 if allowed else 2)
                if allowed:
                    assert (await call).header.revision == 2
                else:
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call
    finally:
        store.kill()


async def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        store.kill()
        path = tmp_path / "client.sock"
        store.flags += ["--listen-client-urls", f"unix://{path},http://{store.address}"]
        store.start()
        await store.ready()
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            assert (await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a"))).header.revision == 2


async def test_garbage_on_the_client_port_disturbs_nobody(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500, b"\0" * 5000):
            reader, writer = await asyncio.open_connection("127.0.0.1", store.client)
            writer.write(garbage)
            async with asyncio.timeout(10):
                await reader.read()
            writer.close()
        async with store.channel() as channel:
            call = channel.unary_unary("/etcdserverpb.KV/Put")
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"\xff\xff\xff")
            assert (await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a"))).header.revision == 2


async def test_sigterm_ends_streams_and_exits_cleanly(tmp_path: Path) -> None:
    with members.lone(tmp_path) as store:
        await store.ready()
        async with store.channel() as channel:
            watch = rpc_pb2_grpc.WatchStub(channel).Watch()
            create = rpc_pb2.WatchCreateRequest(key=b"a")
            await watch.write(rpc_pb2.WatchRequest(create_request=create))
            assert (await watch.read()).created
            assert store.process is not None
            store.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError):
                await watch.read()
        assert await asyncio.to_thread(store.process.wait, 10) == 0
