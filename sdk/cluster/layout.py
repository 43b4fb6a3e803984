"""Where a cluster keeps what: the data directory survives `down`, the run directory does not survive a reboot."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA_DIR = Path("/var/lib/raftsman")
RUN_ROOT = Path("/run/raftsman")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of the cluster whose data directory is `data_dir`."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: str | os.PathLike[str]) -> Layout:
        return cls(Path(os.path.realpath(data_dir)))

    @property
    def instance(self) -> str:
        """Eight hex digits that tell this cluster's names from another's on the same machine."""
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]

    @property
    def run_dir(self) -> Path:
        return RUN_ROOT / self.instance

    @property
    def supervisor_file(self) -> Path:
        """Locked (flock) and holding the supervisor's JSON record while it runs."""
        return self.run_dir / "supervisor.json"

    @property
    def pki(self) -> Path:
        return self.data_dir / "pki"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def store(self) -> Path:
        return self.data_dir / "store"

    @property
    def encryption_key(self) -> Path:
        return self.data_dir / "encryption.key"

    @property
    def settings_file(self) -> Path:
        """The flags that a cluster was first brought up with; later ones must agree."""
        return self.data_dir / "cluster.json"

    def kubeconfig(self, name: str = "admin") -> Path:
        return self.data_dir / "kubeconfig" / f"{name}.yaml"
