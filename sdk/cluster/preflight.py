"""What must be true of this machine before a cluster starts on it. Each failure is one sentence for the user."""

from __future__ import annotations

import ctypes.util
import importlib.util
import ipaddress
import os
import re
import shutil
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from . import state
from .layout import Layout
from .settings import Settings

# Program -> Debian's package that brings it.
PROGRAMS = {"podman": "podman", "conmon": "conmon", "ip": "iproute2", "setpriv": "util-linux"}
RUNTIMES = ("runc", "crun")
# One module of each thing that the extras `server` and `node` bring.
MODULES = ("pysyncobj", "cryptography", "podman", "grpc_health")
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
STOPPING_S = 10.0
# What the node agent's routes lead to: a pod's link, loopback (services), nowhere (its own unused pod addresses).
NODE_ROUTE = re.compile(r"rm[0-9a-f]{12}|lo|\*")
EXTRA_PATHS = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/sbin", "/sbin")


class PreflightError(Exception):
    """Something that must be put right before a cluster can start."""


def check(layout: Layout, settings: Settings) -> None:
    """PreflightError naming all that is wrong."""
    problems = [*_modules(), *_programs(), *_other_cluster(layout)]
    if not problems:
        problems = [*_ports(layout, settings), *_ranges(layout, settings)]
    if problems:
        raise PreflightError("\n".join(problems))


def check_privileges() -> None:
    """PreflightError if this process may not do what a node needs."""
    if os.geteuid() != 0:
        raise PreflightError("Raftsman needs root for network namespaces, cgroups and nftables; run it with sudo.")
    lacking = list(_lacking_capabilities())
    if lacking:
        raise PreflightError("\n".join(lacking))


def _lacking_capabilities() -> Iterable[str]:
    effective = int(next(x for x in Path("/proc/self/status").read_text().splitlines() if x[:7] == "CapEff:")[7:], 16)
    for number, name in ((CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")):
        if not effective >> number & 1:
            yield f"This process lacks {name}, which pod networks need; run it outside of an unprivileged container."


def _modules() -> Iterable[str]:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        yield f"This is Raftsman's SDK alone (no {', '.join(missing)}); `pip install raftsman[node]` brings the rest."


def _programs() -> Iterable[str]:
    path = os.pathsep.join([os.environ.get("PATH", ""), *EXTRA_PATHS])
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=path) is None:
            yield f"{program} is not installed; `apt-get install {package}` brings it (scripts/up does that for you)."
    if not any(shutil.which(runtime, path=path) for runtime in RUNTIMES):
        yield "Neither runc nor crun is installed; `apt-get install runc` brings one."
    if ctypes.util.find_library("nftables") is None:
        yield "libnftables is not installed; `apt-get install libnftables1` brings it."


def _other_cluster(layout: Layout) -> Iterable[str]:
    other = state.running_in(os.stat("/proc/self/ns/net").st_ino)
    if other is not None and other.data_dir != layout.data_dir:
        yield (
            f"Another cluster (data directory {other.data_dir}, process {other.pid}) runs in this network namespace; "
            f"stop it with `raftsman down --data-dir {other.data_dir}`, or start this one in a namespace of its own."
        )


def _ports(layout: Layout, settings: Settings) -> list[str]:
    """Ports in use. Parts whose supervisor was killed are stopping now: their ports are waited for."""
    deadline = time.monotonic() + (STOPPING_S if layout.run_dir.exists() else 0.0)
    while (taken := list(_taken(settings))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return taken


def _taken(settings: Settings) -> Iterable[str]:
    for name, port in settings.ports().items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError as error:
                yield f"Port {port} ({name.removesuffix('_port')}) cannot be used: {error.strerror}."


def _ranges(layout: Layout, settings: Settings) -> Iterable[str]:
    """A pod or service range that this machine routes already. Routes left by our own last run do not count."""
    for name, cidr in (("pod", settings.pod_cidr), ("service", settings.service_cidr)):
        network = ipaddress.ip_network(cidr)
        for route, device in routes():
            if not route.prefixlen or not route.overlaps(network):
                continue
            if not NODE_ROUTE.fullmatch(device):
                yield (
                    f"The {name} range {cidr} overlaps with {route}, which this machine routes through {device}; "
                    f"choose another with --{name}-cidr."
                )
            elif not layout.settings_file.exists():
                yield (
                    f"The {name} range {cidr} overlaps with {route}, a route left by a Raftsman cluster that was "
                    f"killed; `raftsman down --data-dir DIR` with its data directory removes it."
                )


def routes() -> list[tuple[ipaddress.IPv4Network, str]]:
    """The IPv4 routes of this network namespace: network and interface."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        device, destination, *_, mask = line.split()[:8]
        address, netmask = (socket.inet_ntoa(struct.pack("<I", int(word, 16))) for word in (destination, mask))
        found.append((ipaddress.IPv4Network(f"{address}/{netmask}"), device))
    return found


def default_address() -> str | None:
    """The address by which this machine would reach others; None if it has loopback only."""
    for target in ("192.0.2.1", "10.255.255.255"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))  # sends nothing: only asks the routing table
            except OSError:
                continue
            address = probe.getsockname()[0]
            if not address.startswith("127."):
                return str(address)
    return _first_interface_address()


def _first_interface_address() -> str | None:
    import fcntl

    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(query, siocgifaddr, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                return address
    return None
