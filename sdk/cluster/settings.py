"""What a one-machine cluster is brought up with."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

# What cannot change once the cluster holds objects that were made with it.
FIXED = ("node_name", "pod_cidr", "service_cidr", "cluster_domain")


class SettingsError(Exception):
    """A setting that cannot work; the text is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Settings:
    node_name: str
    """The node's name: a DNS-1123 subdomain."""
    node_ip: str
    """The address under which pods and other nodes reach this one."""
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    secure_port: int = 6443
    store_client_port: int = 2379
    store_peer_port: int = 2380
    store_metrics_port: int = 2381
    apiserver_health_port: int = 6444
    control_health_port: int = 10257
    agent_port: int = 10250
    agent_health_port: int = 10248
    log_level: str = "info"

    @property
    def dns_ip(self) -> str:
        """The tenth address of the service range, as kubeadm has it."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def api_ip(self) -> str:
        """The first address of the service range: the `kubernetes` service."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.secure_port}"

    def ports(self) -> dict[str, int]:
        """Setting -> port, for every port that the cluster listens on."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith("_port")}

    def check(self) -> None:
        """SettingsError for what no cluster could run with."""
        pods = _network("--pod-cidr", self.pod_cidr, 24)
        services = _network("--service-cidr", self.service_cidr, 28)
        if pods.overlaps(services):
            raise SettingsError(f"--pod-cidr {pods} and --service-cidr {services} overlap; choose two ranges apart.")
        ports = list(self.ports().values())
        if len(set(ports)) != len(ports):
            raise SettingsError(f"Two parts would listen on one port: {sorted(ports)}.")
        if not _is_subdomain(self.node_name):
            raise SettingsError(f"--node-name {self.node_name!r} is not a lower-case DNS name such as node-1.")

    def remember(self, path: Path) -> None:
        """Keep the settings; SettingsError if the cluster was made with others that cannot change."""
        if path.exists():
            kept = json.loads(path.read_text())
            for name in FIXED:
                if kept.get(name, getattr(self, name)) != getattr(self, name):
                    raise SettingsError(
                        f"This cluster was made with {name}={kept[name]}, not {getattr(self, name)}; "
                        f"use that, another --data-dir, or `raftsman down --purge` first."
                    )
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self), indent=1) + "\n")
        os.replace(scratch, path)


def kept(path: Path) -> dict[str, str | int]:
    """The settings of an earlier `up`, {} if there was none."""
    return json.loads(path.read_text()) if path.exists() else {}


def _network(flag: str, text: str, shortest: int) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingsError(f"{flag} {text!r} is no IPv4 range such as 10.244.0.0/16: {error}.") from None
    if network.prefixlen > shortest:
        raise SettingsError(f"{flag} {text} is too small: at most /{shortest}.")
    return network


def _is_subdomain(name: str) -> bool:
    labels = name.split(".")
    plain = all(label.replace("-", "a").isalnum() and label == label.lower() for label in labels)
    return plain and len(name) <= 253 and all(label.isascii() and label.strip("-") == label for label in labels)
