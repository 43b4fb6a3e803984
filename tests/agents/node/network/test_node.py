"""The node's routes, links and masquerading, in network namespaces that the tests make."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from raftsman.agents.node.network import node


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"rm-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def inside(namespace: str, *command: str) -> str:
    command = ("nsenter", f"--net=/run/netns/{namespace}", *command)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def python(namespace: str, tmp_path: Path, body: str) -> str:
    """Run lines with a `network` at hand in a process of its own, in that namespace."""
    prelude = f"""\
        from pathlib import Path
        from raftsman.agents.node.network import kernel, links, namespaces, node, rtnetlink
        here = Path({str(tmp_path)!r})
        def make(table="raftsman_pods_aaaaaaaa", name="node"):
            return node.PodNetwork(record=here / (name + ".json"), book=here / (name + "-book.json"), table=table)
        cidrs = node.Cidrs(pod="10.244.3.0/24", cluster="10.244.0.0/16", service="10.96.0.0/16")
    """
    return inside(namespace, sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(body))


def test_a_node_gets_its_routes_once_and_loses_them(namespace, tmp_path):
    python(namespace, tmp_path, "make().configure(cidrs); make().configure(cidrs)")
    routes = json.loads(inside(namespace, "ip", "-j", "route"))
    assert {(route["dst"], route.get("type", ""), route.get("dev", "")) for route in routes} == {
        ("10.244.3.0/24", "unreachable", ""),
        ("10.96.0.0/16", "", "lo"),
    }
    assert "10.244.3.1/32" in inside(namespace, "ip", "-o", "addr")
    assert "masquerade" in inside(namespace, "nft", "list", "table", "inet", "raftsman_pods_aaaaaaaa")
    assert inside(namespace, "cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    python(namespace, tmp_path, "make().clear(); make().clear()")
    assert inside(namespace, "ip", "route") == ""
    assert inside(namespace, "nft", "list", "tables") == ""
    assert "10.244.3.1" not in inside(namespace, "ip", "-o", "addr")


def test_a_changed_cidr_replaces_the_old_one(namespace, tmp_path):
    python(
        namespace, tmp_path,
        "make().configure(cidrs); make().configure(node.Cidrs('10.244.4.0/24', cidrs.cluster, cidrs.service))",
    )  # fmt: skip
    assert "10.244.3." not in inside(namespace, "ip", "route") + inside(namespace, "ip", "addr")


def test_a_second_instance_and_a_taken_range_are_refused_by_a_sentence(namespace, tmp_path):
    said = python(
        namespace, tmp_path,
        """
        make().configure(cidrs)
        try:
            make(table="raftsman_pods_bbbbbbbb", name="other").configure(cidrs)
        except node.Refused as refused:
            print(refused)
        make().clear()
        with rtnetlink.RouteSocket() as sock:
            sock.set_route(rtnetlink.Route("10.96.7.0/24", rtnetlink.LOOPBACK, scope=253))
        try:
            make().configure(cidrs)
        except node.Refused as refused:
            print(refused)
        """,
    )  # fmt: skip
    first, second = said.splitlines()
    assert "another Raftsman instance (aaaaaaaa)" in first
    assert second == "CIDR 10.96.0.0/16 is in use: 10.96.7.0/24 is routed to interface lo; choose another CIDR"


def test_two_pods_reach_each_other_and_the_node_and_nothing_else(namespace, tmp_path):
    said = python(
        namespace, tmp_path,
        """
        import socket, threading
        network = make(); network.configure(cidrs)
        namespaces.prepare(here / "ns")
        sockets = {}
        def link(uid, address):
            def body(enter):
                links.connect(uid, address, "10.244.3.1", enter=enter)
                listener = sockets[uid] = socket.create_server(("", 80))
                sockets[uid + "-out"] = socket.socket()
                sockets[uid + "-dead"] = socket.socket()
                sockets[uid + "-dead"].settimeout(2)
            namespaces.create(namespaces.Plan(here / "ns" / uid, uid), body)
        link("a", "10.244.3.2"); link("b", "10.244.3.3")
        print(socket.gethostname() not in "ab")
        with socket.create_connection(("10.244.3.2", 80), timeout=2):
            print(sockets["a"].accept()[1][0])
        sockets["b-out"].connect(("10.244.3.2", 80))
        print(sockets["a"].accept()[1][0])
        try:
            sockets["b-dead"].connect(("10.244.3.77", 80))
        except OSError as refused:
            print(refused.errno)
        print(namespaces.complete(namespaces.Plan(here / "ns" / "a", "a")))
        for uid in "ab":
            links.disconnect(uid); links.disconnect(uid)
            namespaces.remove(here / "ns" / uid); namespaces.remove(here / "ns" / uid)
        print(namespaces.complete(namespaces.Plan(here / "ns" / "a", "a")))
        kernel.unmount(here / "ns")
        network.clear()
        """,
    )  # fmt: skip
    assert said.split() == ["True", "10.244.3.1", "10.244.3.3", "113", "True", "False"]
    assert ": rm" not in inside(namespace, "ip", "-o", "link")


def test_only_strange_routes_overlap():
    routes = [
        node.Route("10.244.3.7/32", "rm0123"),
        node.Route("10.244.9.0/24", "eth1"),
        node.Route("0.0.0.0/0", "eth0"),
        node.Route("192.168.0.0/16", "eth0"),
    ]
    assert node.overlap(routes, ("10.244.3.0/24", "10.96.0.0/16")) is None
    assert "eth0" in node.overlap(routes, ("192.168.7.0/24",))
    assert "an unreachable route" in node.overlap([node.Route("10.0.0.0/8", "")], ("10.1.0.0/16",))
