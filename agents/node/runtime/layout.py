"""Where one instance of the node agent keeps its things: every path, cgroup and table name is made here.

An instance is a data directory; its short name is in everything that is visible machine-wide, so that several
instances (one a network namespace in tests and the testbed) never meet.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

RUN_ROOT = Path("/run/raftsman")
DEFAULT_DATA_DIR = Path("/var/lib/raftsman")


def instance_name(data_dir: Path) -> str:
    """8 hex digits that follow from the data directory's real path."""
    return hashlib.sha256(os.path.realpath(data_dir).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Layout:
    """All names of one instance."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> Layout:
        """The layout of a data directory by any of its names."""
        return cls(data_dir.resolve())

    @property
    def instance(self) -> str:
        return instance_name(self.data_dir)

    @property
    def run_dir(self) -> Path:
        return RUN_ROOT / self.instance

    @property
    def podman_dir(self) -> Path:
        return self.data_dir / "podman"

    @property
    def graph_root(self) -> Path:
        return self.podman_dir / "graph"

    @property
    def seccomp_profile(self) -> Path:
        return self.podman_dir / "seccomp.json"

    @property
    def run_root(self) -> Path:
        return self.run_dir / "containers"

    @property
    def exit_dir(self) -> Path:
        return self.tmp_dir / "exits"

    @property
    def tmp_dir(self) -> Path:
        return self.run_dir / "libpod"

    @property
    def socket(self) -> Path:
        return self.run_dir / "podman.sock"

    @property
    def namespaces(self) -> Path:
        """Private mount point beneath which every sandbox has a directory."""
        return self.run_dir / "ns"

    @property
    def addresses(self) -> Path:
        return self.data_dir / "network" / "addresses.json"

    @property
    def network_record(self) -> Path:
        return self.data_dir / "network" / "node.json"

    @property
    def cgroup_root(self) -> str:
        return f"/raftsman-{self.instance}"

    @property
    def nft_table(self) -> str:
        return f"raftsman_pods_{self.instance}"
