"""The server on real sockets: on loopback, and on the cluster's address for pods in namespaces."""

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import dnslib
import pytest
from raftsman.agents.dns import AddressInUse, Dns, DnsConfig, cleanup, wire
from raftsman.agents.dns.wire import Answer, Code, Record, Type

from tests.agents.proxy.api import CLIENT, Script, service
from tests.agents.proxy.conftest import World, build

from .test_forwarding import upstream

DOMAIN = "cluster.local"
ADDRESS = "10.96.0.10"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Client:
    """Asks the server under test."""

    def __init__(self, port: int, script: Script) -> None:
        self.port, self.script = port, script

    async def udp(self, message: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", self.port))
            await loop.sock_sendall(client, message)
            async with asyncio.timeout(5):
                return await loop.sock_recv(client, 65535)

    async def tcp(self, *messages: bytes) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(5):
            writer.writelines(struct.pack("!H", len(message)) + message for message in messages)
            answers = [await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0]) for _ in messages]
        writer.close()
        return answers

    async def ask(self, name: str, kind: int = Type.A) -> dnslib.DNSRecord:
        return dnslib.DNSRecord.parse(await self.udp(wire.query(name, kind, identity=9)))


@contextlib.asynccontextmanager
async def served(tmp_path: Path, *, upstream_port: int = 1) -> AsyncIterator[Client]:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.2\n")
    port = free_port()
    config = DnsConfig("127.0.0.1", "10.96.0.0/16", "10.244.0.0/16", port=port, resolv_conf=path, own_address=False)
    with pytest.MonkeyPatch.context() as patch:
        # The port of the node's servers is 53; here it is whatever the test's own server got.
        patch.setattr("raftsman.agents.dns.resolvers.parse", lambda *_, **__: (("127.0.0.1", upstream_port),))
        dns, script = Dns(config), Script()
        task = asyncio.create_task(dns.run(CLIENT, informers=script.informers))
        await asyncio.sleep(0.05)
        try:
            yield Client(port, script)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_services_resolve_over_udp_and_tcp_once_all_are_known(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        name = f"web.default.svc.{DOMAIN}"
        assert (await client.ask(name)).header.rcode == Code.SERVER_FAILURE
        client.script.services.put(service("web", "10.96.0.7"))
        client.script.sync()
        await asyncio.sleep(0.01)
        answer = await client.ask(name)
        assert [str(record.rdata) for record in answer.rr] == ["10.96.0.7"]
        assert answer.header.aa
        assert answer.header.ra
        over_tcp = await client.tcp(wire.query(name, Type.A), wire.query(name, Type.AAAA))
        assert [len(dnslib.DNSRecord.parse(message).rr) for message in over_tcp] == [1, 0]
        client.script.services.delete("web")
        await asyncio.sleep(0.01)
        assert (await client.ask(name)).header.rcode == Code.NO_SUCH_NAME


async def test_letter_case_is_kept_and_does_not_matter(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        client.script.services.put(service("web", "10.96.0.7"))
        client.script.sync()
        await asyncio.sleep(0.01)
        message = dnslib.DNSRecord.question("WeB.default.svc.CLUSTER.local").pack()
        answer = dnslib.DNSRecord.parse(await client.udp(message))
        assert str(answer.q.qname) == "WeB.default.svc.CLUSTER.local."
        assert len(answer.rr) == 1


async def test_other_names_are_forwarded_and_failure_is_said(tmp_path: Path) -> None:
    async with upstream() as server, served(tmp_path, upstream_port=server.port) as client:
        answer = await client.ask("example.com")
        assert [str(record.rdata) for record in answer.rr] == ["192.0.2.1"]
        assert answer.header.id == 9
        asked = server.asked
        for name in (f"nope.{DOMAIN}", "1.0.96.10.in-addr.arpa", "1.0.244.10.in-addr.arpa"):
            await client.ask(name)
        assert server.asked == asked
    async with served(tmp_path) as client:
        assert (await client.ask("example.com")).header.rcode == Code.SERVER_FAILURE


async def test_a_server_that_asks_us_back_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftsman.agents.dns.forwarder.ATTEMPT_TIMEOUT_S", 0.1)
    back: list[Client] = []
    asked = 0

    def ask_back(query: wire.Query, message: bytes) -> list[bytes]:
        nonlocal asked
        asked += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, ("127.0.0.1", back[0].port))
        return []

    async with upstream(ask_back) as server, served(tmp_path, upstream_port=server.port) as client:
        back.append(client)
        assert (await client.ask("example.com")).header.rcode == Code.SERVER_FAILURE
        assert asked == 3


async def test_an_external_name_is_resolved_to_the_end(tmp_path: Path) -> None:
    def chain(query: wire.Query, message: bytes) -> list[bytes]:
        alias = Record(query.name, Type.CNAME, 60, wire.write_name("real.example.com"))
        address = Record("real.example.com", Type.A, 60, bytes([192, 0, 2, 9]))
        return [wire.respond(query, Answer(records=(alias, address)))]

    async with upstream(chain) as server, served(tmp_path, upstream_port=server.port) as client:
        made = service("outside", "")
        made.spec.type, made.spec.external_name = "ExternalName", "example.com"
        client.script.services.put(made)
        client.script.sync()
        await asyncio.sleep(0.01)
        answer = await client.ask(f"outside.default.svc.{DOMAIN}")
        assert [record.rtype for record in answer.rr] == [Type.CNAME, Type.CNAME, Type.A]
        assert str(answer.rr[2].rdata) == "192.0.2.9"


async def test_garbage_is_survived_on_both_transports(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        client.script.sync()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", client.port))
            for size in (0, 1, 11, 12, 40, 1000):
                sender.send(secrets.token_bytes(size))
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"\0\5junk!")
        assert await reader.read() == b""
        writer.close()
        assert (await client.ask(DOMAIN, Type.SOA)).header.rcode == Code.OK


async def test_a_large_answer_is_truncated_over_udp_and_whole_over_tcp(tmp_path: Path) -> None:
    def large(query: wire.Query, message: bytes) -> list[bytes]:
        return [wire.respond(query, Answer(records=tuple(Record("x", Type.A, 9, bytes(4)) for _ in range(200))))]

    async with upstream(large) as server, served(tmp_path, upstream_port=server.port) as client:
        answer = dnslib.DNSRecord.parse(await client.udp(wire.query("example.com", Type.A, udp_bytes=None)))
        assert answer.header.tc


async def test_a_port_in_use_is_told_in_a_sentence(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        config = DnsConfig("127.0.0.1", "10.96.0.0/16", "10.244.0.0/16", port=client.port, own_address=False)
        with pytest.raises(AddressInUse, match="another process does"):
            await Dns(config).run(CLIENT, informers=Script().informers)


@pytest.fixture
def world() -> Iterator[World]:
    prefix = f"rm-{secrets.token_hex(4)}"
    try:
        yield build(prefix, pods=1)
    finally:
        for name in os.listdir("/run/netns"):
            if name.startswith(prefix):
                subprocess.run(["ip", "netns", "del", name], check=False)


def test_pods_reach_cluster_dns_on_its_service_address(world: World, tmp_path: Path) -> None:
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []
    started = threading.Event()

    async def main() -> None:
        script = Script()
        script.services.put(service("web", "10.96.0.7"))
        script.sync()
        dns = Dns(DnsConfig(ADDRESS, "10.96.0.0/16", "10.244.0.0/16", resolv_conf=tmp_path / "absent"))
        task = asyncio.create_task(dns.run(CLIENT, informers=script.informers))
        stop.append((asyncio.get_running_loop(), task))
        await dns.wait_ready()
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: world.node.call(lambda: asyncio.run(main())))
    thread.start()
    assert started.wait(5)
    message = wire.query(f"web.default.svc.{DOMAIN}", Type.A)
    for client in (world.pods[0], world.node):
        with client.socket(socket.SOCK_DGRAM) as asker:
            asker.connect((ADDRESS, 53))
            asker.send(message)
            assert [str(record.rdata) for record in dnslib.DNSRecord.parse(asker.recv(2000)).rr] == ["10.96.0.7"]
        with client.socket(socket.SOCK_STREAM) as asker:
            asker.connect((ADDRESS, 53))
            asker.send(struct.pack("!H", len(message)) + message)
            assert len(asker.recv(2000)) > len(message)
    address = ["ip", "-n", world.node.name, "addr", "show", "lo"]
    assert ADDRESS.encode() in subprocess.check_output(address)
    loop, task = stop[0]
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    for _ in range(2):
        world.node.call(cleanup)
    shown = subprocess.run(
        ["ip", "-n", world.node.name, "addr", "show", "lo"], capture_output=True, text=True, check=True
    )
    assert ADDRESS not in shown.stdout
