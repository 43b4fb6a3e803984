"""veth pairs and routes: how one pod hangs on its node, and how the node routes its pods. All over rtnetlink.

    pod     eth0 10.244.0.7/32      10.244.0.1 dev eth0 scope link, default via 10.244.0.1
    node    rm<hash of the pod uid> 10.244.0.7/32 dev rm…
            lo 10.244.0.1/32        the gateway that pods resolve
            unreachable 10.244.0.0/24, 10.96.0.0/16 dev lo

No bridge. Every call blocks for milliseconds. pyroute2 keeps a socket for each thread, so a thread that moves to
another network namespace keeps the old one's socket by opening it first.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCOPE_LINK = 253
LOOPBACK_INDEX = 1
MAIN_TABLE = 254
POD_INTERFACE = "eth0"


def host_interface(pod_uid: str) -> str:
    """The node's end of a pod's veth pair: 14 characters that follow from the uid."""
    return "rm" + hashlib.sha256(pod_uid.encode()).hexdigest()[:12]


def connect(pod_uid: str, address: str, gateway: str, *, enter: Callable[[], None]) -> None:
    """Make the pair and both ends' addresses and routes. Call in a fresh thread; `enter` moves it into the pod."""
    name = host_interface(pod_uid)
    with _route() as host:
        index = host.link_lookup(ifname=name)
        if index:
            host.link("del", index=index[0])
        enter()
        with _route() as pod, _own_namespace() as namespace:
            host.link("add", ifname=name, kind="veth", peer={"ifname": POD_INTERFACE, "net_ns_fd": namespace})
            index = host.link_lookup(ifname=name)[0]
            host.link("set", index=index, state="up")
            host.route("replace", dst=f"{address}/32", oif=index)
            _inside(pod, address, gateway)


def disconnect(pod_uid: str) -> None:
    """Remove the pair; its routes go with it. Idempotent."""
    with _route() as host:
        for index in host.link_lookup(ifname=host_interface(pod_uid)):
            with _suppress(errno.ENODEV):
                host.link("del", index=index)


def connected(pod_uid: str) -> bool:
    """Whether the node's end is in this network namespace."""
    try:
        socket.if_nametoindex(host_interface(pod_uid))
    except OSError:
        return False
    return True


def prepare_node(pod_cidr: str, gateway: str, service_cidr: str) -> None:
    """The node's own address, routes and forwarding. Idempotent."""
    _sysctl("net/ipv4/ip_forward", "1")
    for scope in ("all", "default", "lo"):
        _sysctl(f"net/ipv4/conf/{scope}/send_redirects", "0")
    with _route() as host:
        host.link("set", index=LOOPBACK_INDEX, state="up")
        with _suppress(errno.EEXIST):
            host.addr("add", index=LOOPBACK_INDEX, address=gateway, prefixlen=32)
        host.route("replace", dst=pod_cidr, type="unreachable")
        host.route("replace", dst=service_cidr, oif=LOOPBACK_INDEX, scope=SCOPE_LINK)


def clear_node(pod_cidr: str, gateway: str, service_cidr: str) -> None:
    """Undo `prepare_node`, but for the sysctls, which others may rely on. Idempotent."""
    with _route() as host:
        with _suppress(errno.ESRCH):
            host.route("del", dst=service_cidr, oif=LOOPBACK_INDEX, scope=SCOPE_LINK)
        with _suppress(errno.ESRCH):
            host.route("del", dst=pod_cidr, type="unreachable")
        with _suppress(errno.EADDRNOTAVAIL):
            host.addr("del", index=LOOPBACK_INDEX, address=gateway, prefixlen=32)


def routes() -> list[tuple[str, str]]:
    """Destination and interface of every IPv4 unicast or unreachable route in the main table but the default."""
    found = []
    with _route() as host:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in host.get_links()}
        for route in host.get_routes(family=socket.AF_INET, table=MAIN_TABLE):
            if route.get_attr("RTA_DST") is not None:
                destination = f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
                found.append((destination, names.get(route.get_attr("RTA_OIF"), "")))
    return found


def _inside(pod: Any, address: str, gateway: str) -> None:
    index = socket.if_nametoindex(POD_INTERFACE)
    pod.link("set", index=LOOPBACK_INDEX, state="up")
    pod.addr("add", index=index, address=address, prefixlen=32)
    pod.link("set", index=index, state="up")
    pod.route("add", dst=f"{gateway}/32", oif=index, scope=SCOPE_LINK)
    pod.route("add", dst="default", gateway=gateway, oif=index)


@contextlib.contextmanager
def _own_namespace() -> Any:
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _route() -> Any:
    # Imported late: 130 ms that the agent's start need not wait for.
    from pyroute2 import IPRoute

    logging.getLogger("pyroute2.netlink.core").setLevel(logging.WARNING)
    return IPRoute()


@contextlib.contextmanager
def _suppress(*codes: int) -> Any:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as refused:
        if refused.code not in codes:
            raise


def _sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys", name)
    if path.read_text().strip() != value:
        path.write_text(value)


def faults() -> tuple[type[Exception], ...]:
    """What the calls above raise when the kernel refuses."""
    from pyroute2.netlink.exceptions import NetlinkError

    return (NetlinkError,)
