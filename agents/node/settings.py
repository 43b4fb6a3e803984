"""What the node part of an agent is told at its start."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from .runtime import Layout


@dataclass(frozen=True, slots=True)
class Settings:
    """One node's identity, addresses and files."""

    node_name: str
    node_ip: str
    data_dir: Path
    cluster_domain: str = "cluster.local"
    cluster_dns: str = "10.96.0.10"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    port: int = 10250
    """Where the API server reaches this agent; goes into the Node's daemonEndpoints."""
    pods_max: int = 110
    tls_cert_file: Path | None = None
    tls_private_key_file: Path | None = None
    client_ca_file: Path | None = None

    @property
    def layout(self) -> Layout:
        return Layout.of(self.data_dir)

    def pod_dir(self, uid: str) -> Path:
        """Logs, disk volumes and termination messages of one pod."""
        return self.data_dir / "pods" / uid

    def pod_memory_dir(self, uid: str) -> Path:
        """Secrets, tokens and memory volumes of one pod: never on a disk."""
        return self.memory_dir / uid

    @property
    def memory_dir(self) -> Path:
        """Where the memory file system of all pods is mounted."""
        return _run_dir(self.data_dir) / "volumes"


@functools.lru_cache(maxsize=8)
def _run_dir(data_dir: Path) -> Path:
    """Once: it follows from the real path of the data directory, which costs system calls."""
    return Layout.of(data_dir).run_dir
