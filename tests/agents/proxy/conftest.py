"""A node with three pods and a machine outside, each a network namespace, wired as the node agent wires them."""

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

CLONE_NEWNET = 0x40000000
GATEWAY = "10.244.0.1"
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
NODE = "192.168.77.1"
OUTSIDE = "192.168.77.2"
PORT = 8080

T = TypeVar("T")


@dataclass
class Namespace:
    name: str
    address: str

    def call(self, body: Callable[[], T]) -> T:
        """Run `body` on a thread inside the namespace; sockets made there stay there."""
        result: Future[T] = Future()

        def enter() -> None:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                with Path(f"/run/netns/{self.name}").open() as handle:
                    if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.set_result(body())
            except BaseException as error:
                result.set_exception(error)

        threading.Thread(target=enter, daemon=True).start()
        return result.result(timeout=120)

    def socket(self, kind: socket.SocketKind, *, protocol: int = 0) -> socket.socket:
        made = self.call(lambda: socket.socket(socket.AF_INET, kind, protocol))
        made.settimeout(3)
        return made

    def ask(self, address: str, port: int, *, source: str = "") -> str:
        """Connect over TCP and return what the server says: `NAME PEER`."""
        with self.socket(socket.SOCK_STREAM) as client:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            return client.recv(100).decode()

    def ask_udp(self, address: str, port: int) -> str:
        with self.socket(socket.SOCK_DGRAM) as client:
            client.connect((address, port))
            client.send(b"?")
            return client.recv(100).decode()


@dataclass
class World:
    node: Namespace
    pods: list[Namespace]
    outside: Namespace
    servers: list[socket.socket] = field(default_factory=list)

    def serve(self, where: Namespace, port: int = PORT) -> None:
        """Answer every TCP connection and UDP datagram with the server's name and the peer's address."""
        stream = where.socket(socket.SOCK_STREAM)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind(("0.0.0.0", port))
        stream.listen(512)
        datagram = where.socket(socket.SOCK_DGRAM)
        datagram.bind(("0.0.0.0", port))
        for server, answer in ((stream, _answer_stream), (datagram, _answer_datagram)):
            server.settimeout(None)
            self.servers.append(server)
            threading.Thread(target=answer, args=(server, where.name), daemon=True).start()

    def stop(self) -> None:
        for server in self.servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()


def _answer_stream(server: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, address = server.accept()
            with peer:
                peer.sendall(f"{name} {address[0]}".encode())


def _answer_datagram(server: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            _, address = server.recvfrom(100)
            if address is None:  # shut down
                return
            server.sendto(f"{name} {address[0]}".encode(), address)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _ip(namespace: str, *lines: str) -> None:
    text = "\n".join(lines).encode()
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], check=True, input=text, capture_output=True)


def build(prefix: str, *, pods: int = 3) -> World:
    node = Namespace(f"{prefix}-node", NODE)
    outside = Namespace(f"{prefix}-out", OUTSIDE)
    world = World(node, [Namespace(f"{prefix}-p{i}", f"10.244.0.{i + 2}") for i in range(pods)], outside)
    for namespace in (node, outside, *world.pods):
        _run("ip", "netns", "add", namespace.name)
        _ip(namespace.name, "link set lo up")
    settings = ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0")
    _run("nsenter", f"--net=/run/netns/{node.name}", "sysctl", "-qw", *settings)
    _ip(
        node.name,
        f"link add eth0 type veth peer name eth0 netns {outside.name}",
        f"addr add {NODE}/24 dev eth0",
        "link set eth0 up",
        f"addr add {GATEWAY}/32 dev lo",
        f"route add {SERVICE_CIDR} dev lo",
        "route add unreachable 10.244.0.0/24",
    )
    _ip(outside.name, f"addr add {OUTSIDE}/24 dev eth0", "link set eth0 up", f"route add default via {NODE}")
    for index, pod in enumerate(world.pods):
        _ip(node.name, f"link add pod{index} type veth peer name eth0 netns {pod.name}", f"link set pod{index} up")
        _ip(node.name, f"route add {pod.address} dev pod{index}")
        _ip(
            pod.name,
            f"addr add {pod.address}/32 dev eth0",
            "link set eth0 up",
            f"route add {GATEWAY} dev eth0 scope link",
            f"route add default via {GATEWAY}",
        )
    return world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    prefix = f"rm-{secrets.token_hex(4)}"
    made = None
    try:
        made = build(prefix)
        for pod in made.pods:
            made.serve(pod)
        yield made
    finally:
        if made:
            made.stop()
        for name in os.listdir("/run/netns"):
            if name.startswith(prefix):
                subprocess.run(["ip", "netns", "del", name], check=False)
