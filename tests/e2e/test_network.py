"""Services beyond the usual: written endpoints, changed ports, names that the cluster does not know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from raftsman.testing import Cluster, Network, eventually
from raftsman.testing.network import OUTSIDE_ADDRESS

from .test_pods import apply, container, pod, run_in, running, service

pytestmark = [pytest.mark.root, pytest.mark.podman]

UPSTREAM = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("serving", flush=True)
while True:
    query, peer = server.recvfrom(4096)
    end = query.index(b"\\0", 12) + 5
    record = b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\x05\\0\\x04" + socket.inet_aton("172.31.255.1")
    found = query[end - 4 : end - 2] == b"\\0\\x01"
    head = query[:2] + b"\\x81\\x80\\0\\x01" + (b"\\0\\x01" if found else b"\\0\\0") + b"\\0\\0\\0\\0"
    server.sendto(head + query[12:end] + (record if found else b""), peer)
"""


@pytest.fixture(scope="module")
def upstream(network: Network) -> Iterator[None]:
    """The name server of this machine's resolv.conf, played by the world outside."""
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    address = next((word[1] for word in words if word[:1] == ["nameserver"]), "127.0.0.1")
    if ip_address(address).is_loopback or ip_address(address).version != 4:
        pytest.skip(f"the name server {address} cannot be played outside")
    network.add_outside_address(address)
    command = [*network.inside(outside=True), sys.executable, "-c", UPSTREAM, address]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline()
    yield
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Cluster:
    apply(cluster, pod("client"))
    running(cluster, "client")
    return cluster


def fetched(cluster: Cluster, url: str) -> str:
    return run_in(cluster, "client", "timeout", "5", "wget", "-q", "-O", "-", url)


def test_written_endpoints_are_served(client: Cluster, outside_server: str) -> None:
    plain = service("database", "x", ports=[{"port": 80, "targetPort": 8000}])
    del plain["spec"]["selector"]
    written = {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "database"},
        "subsets": [{"addresses": [{"ip": OUTSIDE_ADDRESS}], "ports": [{"port": 8000}]}],
    }  # fmt: skip
    apply(client, plain, written)
    assert eventually(lambda: fetched(client, "http://database/"))


def test_a_changed_target_port_is_followed(client: Cluster) -> None:
    def web(name: str, port: int) -> dict[str, Any]:
        env = [{"name": "PORT", "value": str(port)}]
        return container(name=name, command=["/bin/serve"], env=env, ports=[{"name": name, "containerPort": port}])

    apply(client, pod("two-ports", web("one", 8080), web("two", 8081)))
    running(client, "two-ports")
    for name in ("one", "two"):
        apply(client, service("two-ports", "two-ports", ports=[{"port": 80, "targetPort": name}]))
        port = {"one": 8080, "two": 8081}[name]
        eventually(lambda port=port: client.get("endpoints", "two-ports")["subsets"][0]["ports"][0]["port"] == port)
        assert eventually(lambda: fetched(client, "http://two-ports/")) == "two-ports\n"


def test_other_names_are_forwarded(client: Cluster, upstream: None, outside_server: str) -> None:
    alias = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias"},
             "spec": {"type": "ExternalName", "externalName": "www.example.org"}}  # fmt: skip
    apply(client, alias)
    assert fetched(client, "http://www.example.org:8000/")
    assert eventually(lambda: fetched(client, "http://alias:8000/"))
