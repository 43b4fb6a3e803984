"""The three files that every container of a pod sees in /etc: hosts, hostname and resolv.conf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .specs import Dns, HostAlias, SandboxSpec

LOCAL_NAMES = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def write(directory: Path, spec: SandboxSpec, address: str) -> None:
    """Write them beside the pod's namespaces; resolv.conf only if the pod has one of its own."""
    (directory / "hostname").write_text(f"{spec.hostname}\n")
    if spec.host_network:
        text = _node_hosts() + aliases(spec.host_aliases)
    else:
        text = hosts(address, spec.hostname, spec.domain) + aliases(spec.host_aliases)
    (directory / "hosts").write_text(text)
    if spec.dns is not None:
        (directory / "resolv.conf").write_text(resolv_conf(spec.dns))


def hosts(address: str, hostname: str, domain: str) -> str:
    """hosts(5) of a pod."""
    names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
    return f"{LOCAL_NAMES}{address}\t{names}\n"


def aliases(entries: Sequence[HostAlias]) -> str:
    return "".join(f"{entry.address}\t{' '.join(entry.names)}\n" for entry in entries)


def resolv_conf(dns: Dns) -> str:
    """resolv.conf(5)."""
    lines = [f"nameserver {server}" for server in dns.servers]
    if dns.searches:
        lines.append(f"search {' '.join(dns.searches)}")
    if dns.options:
        lines.append(f"options {' '.join(dns.options)}")
    return "\n".join(lines) + "\n"


def _node_hosts() -> str:
    try:
        return Path("/etc/hosts").read_text()
    except OSError:
        return LOCAL_NAMES
