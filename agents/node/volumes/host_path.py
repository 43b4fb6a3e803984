"""hostPath volumes: check, or make, what is at a path of the node. Blocking."""

from __future__ import annotations

import stat
from pathlib import Path

from raftsman.core import v1 as core

from .content import VolumeFault

_TESTS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def check(name: str, source: core.HostPathVolumeSource) -> None:
    """Make sure of what `type` promises; without a type, that there is something. VolumeFault otherwise."""
    path = Path(source.path)
    if not path.exists():
        if source.type in ("", "DirectoryOrCreate"):
            path.mkdir(parents=True, mode=0o755, exist_ok=True)
        elif source.type == "FileOrCreate" and path.parent.is_dir():
            path.touch(mode=0o644)
    if source.type == "":
        return
    test, words = _TESTS[source.type]
    if not path.exists() or not test(path.stat().st_mode):
        raise VolumeFault(f'MountVolume.SetUp failed for volume "{name}": hostPath type check failed: '
                          f"{source.path} is not {words}")  # fmt: skip
