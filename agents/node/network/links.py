"""veth pairs and routes: how one pod hangs on its node, and how the node routes its pods.

    pod     eth0 10.244.0.7/32      10.244.0.1 dev eth0 scope link, default via 10.244.0.1
    node    rm<hash of the pod uid> 10.244.0.7/32 dev rm…
            lo 10.244.0.1/32        the gateway that pods resolve
            unreachable 10.244.0.0/24, 10.96.0.0/16 dev lo

No bridge. Every call blocks for a millisecond, but for `disconnect` (20 ms: the kernel waits for its readers), and
acts on the calling thread's network namespace.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from .rtnetlink import LOOPBACK, SCOPE_LINK, UNREACHABLE, Route, RouteSocket

POD_INTERFACE = "eth0"


def host_interface(pod_uid: str) -> str:
    """The node's end of a pod's veth pair: 14 characters that follow from the uid."""
    return "rm" + hashlib.sha256(pod_uid.encode()).hexdigest()[:12]


def connect(pod_uid: str, address: str, gateway: str, *, enter: Callable[[], None]) -> None:
    """Make the pair and both ends' addresses and routes. Call in a fresh thread; `enter` moves it into the pod."""
    name = host_interface(pod_uid)
    with RouteSocket() as host:
        if connected(pod_uid):
            host.delete_link(name)
        enter()
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            host.add_veth(name, POD_INTERFACE, peer_namespace=namespace)
        finally:
            os.close(namespace)
        host.set_route(Route(f"{address}/32", host.index_of(name)))
    with RouteSocket() as pod:
        index = socket.if_nametoindex(POD_INTERFACE)
        pod.set_up(LOOPBACK)
        pod.add_address(index, address)
        pod.set_up(index)
        pod.set_route(Route(f"{gateway}/32", index, scope=SCOPE_LINK))
        pod.set_route(Route("0.0.0.0/0", index, gateway=gateway))


def disconnect(pod_uid: str) -> None:
    """Remove the pair; its routes go with it. Idempotent."""
    with RouteSocket() as host:
        host.delete_link(host_interface(pod_uid))


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
    with RouteSocket() as host:
        host.set_up(LOOPBACK)
        host.add_address(LOOPBACK, gateway)
        for route in _node_routes(pod_cidr, service_cidr):
            host.set_route(route)


def clear_node(pod_cidr: str, gateway: str, service_cidr: str) -> None:
    """Undo `prepare_node`, but for the sysctls, which others may rely on. Idempotent."""
    with RouteSocket() as host:
        for route in _node_routes(pod_cidr, service_cidr):
            host.delete_route(route)
        host.delete_address(LOOPBACK, gateway)


def routes() -> list[tuple[str, str]]:
    """Destination and interface name (empty for none) of this namespace's IPv4 routes but the default."""
    names = dict(socket.if_nameindex())
    with RouteSocket() as host:
        return [(route.destination, names.get(route.interface, "")) for route in host.routes()]


def _node_routes(pod_cidr: str, service_cidr: str) -> tuple[Route, ...]:
    return Route(pod_cidr, kind=UNREACHABLE), Route(service_cidr, LOOPBACK, scope=SCOPE_LINK)


def _sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys", name)
    if path.read_text().strip() != value:
        path.write_text(value)
