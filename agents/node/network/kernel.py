"""The few system calls that Python 3.11 has no name for: unshare, setns, mount, umount and sethostname.

Each raises OSError with the path or flag it was given. `mount`, `unshare` and `enter_network` act on the calling
thread.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import os
from pathlib import Path


class Clone(enum.IntFlag):
    """Namespace flags of unshare(2) that are safe in one thread of many."""

    NEWNET = 0x40000000
    NEWIPC = 0x08000000
    NEWUTS = 0x04000000


class MountFlag(enum.IntFlag):
    """mount(2)."""

    NONE = 0
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    BIND = 4096
    RECURSIVE = 16384
    PRIVATE = 1 << 18
    SHARED = 1 << 20


DETACH = 2
"""MNT_DETACH of umount2(2)."""


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL("libc.so.6", use_errno=True)


def unshare(flags: Clone) -> None:
    _checked(_libc().unshare(ctypes.c_int(flags)), f"unshare {flags!r}")


def enter_network(descriptor: int) -> None:
    """Put the calling thread into the network namespace of an open file. For a thread that ends afterwards."""
    _checked(_libc().setns(ctypes.c_int(descriptor), ctypes.c_int(Clone.NEWNET)), "setns net")


def mount(source: str, target: Path, *, kind: str = "", flags: MountFlag = MountFlag.NONE, options: str = "") -> None:
    words = [word.encode() if word else None for word in (source, str(target), kind)]
    status = _libc().mount(*words, ctypes.c_ulong(flags), options.encode() if options else None)
    _checked(status, str(target))


def unmount(target: Path) -> None:
    """Lazily, so that a namespace in use never blocks it."""
    _checked(_libc().umount2(str(target).encode(), ctypes.c_int(DETACH)), str(target))


def set_hostname(name: str) -> None:
    """Of the calling thread's UTS namespace."""
    raw = name.encode()
    _checked(_libc().sethostname(raw, ctypes.c_size_t(len(raw))), name)


def is_mount_point(path: Path) -> bool:
    """Also right for bind mounts of files, which os.path.ismount misses, and of a directory onto itself."""
    wanted = str(path)
    return any(point == wanted for point in mount_points(wanted))


def mount_points(beneath: str) -> list[str]:
    """Mount points at or under a path, deepest and latest first, from /proc/self/mountinfo."""
    found = []
    prefix = beneath.rstrip("/") + "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = line.split(" ", 5)[4].replace("\\040", " ")
            if point == beneath or point.startswith(prefix):
                found.append(point)
    return found[::-1]


def _checked(status: int, what: str) -> None:
    if status != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
