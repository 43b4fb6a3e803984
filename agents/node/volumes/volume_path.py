"""Where a pod's volume is on the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VolumePath:
    path: Path
    read_only: bool = False
    """Whatever a mount asks for: configMap, secret, downwardAPI and projected volumes."""
