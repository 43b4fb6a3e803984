"""tmpfs mounts for memory volumes and secrets, by mount(2) itself: no process for a mount. Blocking, microseconds."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
TMPFS_MAGIC = 0x01021994


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int | None = None, mode: int = 0o755, executable: bool = True) -> None:
    """Mount an empty tmpfs at `target`, which exists; OSError as mount(2) says."""
    options = f"mode={mode:o}" + (f",size={size_bytes}" if size_bytes else "")
    flags = MS_NOSUID | MS_NODEV | (0 if executable else MS_NOEXEC)
    _check(_libc().mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, options.encode()), target)


def unmount(target: Path) -> None:
    """Detach what is mounted at `target`; nothing there is fine."""
    result = _libc().umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW)
    if result != 0 and ctypes.get_errno() not in (2, 22):  # ENOENT, EINVAL: not there, or not a mount
        _check(result, target)


def _check(result: int, target: Path) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def is_mounted(path: Path) -> bool:
    """Whether `path` is a mount point (bind mounts within one file system excluded)."""
    return os.path.ismount(path)


def mounted_below(root: Path) -> list[Path]:
    """All mount points at or below `root`, deepest first."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path = Path(line.split(" ")[4].encode().decode("unicode_escape"))
            if path.is_relative_to(root):
                found.append(path)
    return sorted(found, key=lambda p: len(p.parts), reverse=True)
