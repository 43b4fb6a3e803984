"""Certificates under a running cluster: replaced without a restart, and nobody let in who has a wrong one."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import members
import pytest
from certificates import Authority
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import flags, tls

Put = rpc_pb2.PutRequest


@dataclass
class Secured:
    """Three members that share one certificate, key and CA, each in a file that a test may replace."""

    folder: Path
    stores: list[members.Store]

    def install(self, authority: Authority, *files: str) -> None:
        cert, key = authority.issue("server", ip="127.0.0.1")
        for name, path in (("cert", cert), ("key", key), ("ca", authority.path)):
            if not files or name in files:
                shutil.copy(path, self.folder / f"{name}.new")
                (self.folder / f"{name}.new").rename(self.folder / name)

    def channel(self, store: members.Store, issuer: Authority, *, trusts: Authority) -> grpc.aio.Channel:
        cert, key = issuer.issue("client", ip="127.0.0.1")
        credentials = grpc.ssl_channel_credentials(trusts.path.read_bytes(), key.read_bytes(), cert.read_bytes())
        return grpc.aio.secure_channel(store.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])


async def works(channel: grpc.aio.Channel, key: bytes = b"a") -> None:
    await rpc_pb2_grpc.KVStub(channel).Put(Put(key=key), wait_for_ready=True, timeout=15)


async def refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpc_pb2_grpc.KVStub(channel).Put(Put(key=b"a"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "new")


@pytest.fixture
def secured(tmp_path: Path, old: Authority) -> Iterator[Secured]:
    tls_ = ["--cert-file", "--key-file", "--trusted-ca-file"]
    files = [str(tmp_path / name) for name in ("cert", "key", "ca")]
    given = [word for flag, path in zip(tls_, files, strict=True) for word in (flag, path)]
    given += [word for flag, path in zip(tls_, files, strict=True) for word in (f"--peer-{flag[2:]}", path)]
    cluster = Secured(tmp_path, [])
    cluster.install(old)
    with members.three(tmp_path, *given, "--client-cert-auth", "--peer-client-cert-auth", scheme="https") as stores:
        for store in stores:
            store.kill()
            store.flags += ["--listen-client-urls", f"https://{store.address}"]
            store.start()
        cluster.stores = stores
        yield cluster


async def test_replaced_certificates_are_used_for_what_connects_next(
    secured: Secured, old: Authority, new: Authority
) -> None:
    async with secured.channel(secured.stores[0], old, trusts=old) as standing:
        await works(standing)
        secured.install(new, "cert")
        async with secured.channel(secured.stores[0], old, trusts=old) as meanwhile:
            await works(meanwhile)  # a certificate without its key changes nothing yet
        secured.install(new)
        async with secured.channel(secured.stores[0], new, trusts=new) as fresh:
            await works(fresh)
        async with secured.channel(secured.stores[0], old, trusts=new) as outdated:
            await refused(outdated)
        await works(standing)
        for store in secured.stores:  # each is dialled by some and dials others, with the new files alone
            store.kill()
            store.start()
            async with secured.channel(store, new, trusts=new) as fresh:
                await works(fresh)
    assert "certificates replaced" in secured.stores[0].log


async def test_wrong_certificates_are_refused_without_noise(secured: Secured, old: Authority, new: Authority) -> None:
    store = secured.stores[0]
    async with secured.channel(store, old, trusts=old) as channel:
        await works(channel)
        before = len(store.log.splitlines())
        peer = int(next(flag for flag in store.flags if flag.startswith("--listen-peer-urls")).rpartition(":")[2])
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        expired = old.issue("expired", ip="127.0.0.1", until=yesterday + datetime.timedelta(minutes=1))
        for cert, key in (new.issue("foreign", ip="127.0.0.1"), expired):
            for port in (store.client, peer):
                for _ in range(5):
                    await turned_away(port, cert, key, trusts=old)
        for port in (store.client, peer):
            for _ in range(5):
                await turned_away(port, None, None, trusts=old)
        await works(channel, b"b")
    lines = store.log.splitlines()[before:]
    assert not [line for line in lines if "Traceback" in line or "traceback=" in line]
    assert len(lines) <= 2 * 15


async def turned_away(port: int, cert: Path | None, key: Path | None, *, trusts: Authority) -> None:
    """Connect as a client of TLS and say something: the connection must end."""
    context = ssl.create_default_context(cafile=str(trusts.path))
    context.set_alpn_protocols(["h2"])
    if cert is not None:
        context.load_cert_chain(cert, key)
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
            writer.write(b"hello")
            while await reader.read(1000):
                pass
            writer.close()
    except (ssl.SSLError, ConnectionError):
        pass


async def test_health_and_metrics_are_served_over_tls_to_who_has_a_certificate(tmp_path: Path, old: Authority) -> None:
    cert, key = old.issue("server", ip="127.0.0.1")
    files = ["--cert-file", str(cert), "--key-file", str(key), "--trusted-ca-file", str(old.path)]
    with members.lone(tmp_path / "store", *files) as store:
        store.kill()
        store.flags += ["--listen-metrics-urls", f"https://127.0.0.1:{store.metrics}"]
        store.start()
        await store.ready()
        context = ssl.create_default_context(cafile=str(old.path))

        def health() -> bytes:
            url = f"https://localhost:{store.metrics}/health"
            with urllib.request.urlopen(url, timeout=10, context=context) as answer:
                return bytes(answer.read())

        with pytest.raises((urllib.error.URLError, ConnectionError)):
            await asyncio.to_thread(health)
        context.load_cert_chain(*old.issue("monitor", ip="127.0.0.1"))
        assert await asyncio.to_thread(health) == b'{"health":"true","reason":""}'


def test_files_that_do_not_fit_leave_the_last_ones_in_use(tmp_path: Path, old: Authority, new: Authority) -> None:
    cert, key = old.issue("server", ip="127.0.0.1")
    made: list[bytes] = []

    def make() -> bytes:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        made.append(cert.read_bytes())
        return made[-1]

    source = tls.Replaceable((cert, key), make)
    assert not source.refresh()
    other_cert, other_key = new.issue("server", ip="127.0.0.1")
    shutil.copy(other_cert, cert)
    assert not source.refresh()
    assert source.current == made[0]
    key.unlink()
    assert not source.refresh()
    shutil.copy(other_key, key)
    assert source.refresh()
    assert source.current == other_cert.read_bytes()


def test_a_server_does_not_start_with_a_key_of_another_certificate(
    tmp_path: Path, old: Authority, new: Authority
) -> None:
    cert, key = old.issue("server", ip="127.0.0.1")[0], new.issue("server", ip="127.0.0.1")[1]
    with pytest.raises(ssl.SSLError):
        tls.grpc_credentials(flags.Tls(cert, key, None, False))
