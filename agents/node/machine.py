"""Facts about this machine, read from /proc and the file system. Blocking, well under a millisecond each."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

DISK_LEAST = 0.10
INODES_LEAST = 0.05
MEMORY_LEAST_BYTES = 100 * 1024 * 1024
PIDS_LEAST = 0.05
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the machine runs."""

    cpus: int
    memory_bytes: int
    storage_bytes: int
    """Of the file system that holds the data directory."""
    machine_id: str
    system_uuid: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str

    @property
    def memory_allocatable(self) -> int:
        return max(0, self.memory_bytes - MEMORY_LEAST_BYTES)

    @property
    def storage_allocatable(self) -> int:
        return int(self.storage_bytes * (1 - DISK_LEAST))


@dataclass(frozen=True, slots=True)
class Pressure:
    """Sentences about what is running out; None where enough is left."""

    memory: str | None = None
    disk: str | None = None
    pids: str | None = None


def read(data_dir: Path) -> Machine:
    disk = os.statvfs(data_dir)
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=_meminfo()["MemTotal"],
        storage_bytes=disk.f_blocks * disk.f_frsize,
        machine_id=_line("/etc/machine-id"),
        system_uuid=_line("/sys/class/dmi/id/product_uuid"),
        boot_id=_line("/proc/sys/kernel/random/boot_id"),
        kernel=platform.release(),
        os_image=_os_image(),
        architecture=ARCHITECTURES.get(platform.machine(), platform.machine()),
    )


def pressure(data_dir: Path) -> Pressure:
    """What is running out now."""
    disk = os.statvfs(data_dir)
    available = _meminfo().get("MemAvailable", MEMORY_LEAST_BYTES)
    return Pressure(
        memory=f"{available >> 20} MiB of memory are left" if available < MEMORY_LEAST_BYTES else None,
        disk=_disk_words(disk, data_dir),
        pids=_pid_words(),
    )


def _disk_words(disk: os.statvfs_result, data_dir: Path) -> str | None:
    if disk.f_bavail < disk.f_blocks * DISK_LEAST:
        return f"{disk.f_bavail * disk.f_frsize >> 20} MiB are left on the file system of {data_dir}"
    if disk.f_files and disk.f_favail < disk.f_files * INODES_LEAST:
        return f"{disk.f_favail} inodes are left on the file system of {data_dir}"
    return None


def _pid_words() -> str | None:
    most = int(_line("/proc/sys/kernel/pid_max") or 0)
    words = _line("/proc/loadavg").split()
    used = int(words[3].partition("/")[2]) if len(words) > 3 else 0
    return f"{most - used} process ids are left" if most and most - used < most * PIDS_LEAST else None


def _meminfo() -> dict[str, int]:
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return values


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_image() -> str:
    for line in _line("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"
