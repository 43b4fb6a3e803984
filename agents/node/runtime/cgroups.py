"""Pods' cgroups, on v1 (one tree a controller) and v2 (one tree): made, limited, read and removed.

    /raftsman-<instance>/kubepods                       guaranteed pods directly beneath
    /raftsman-<instance>/kubepods/burstable             cpu shares: the sum of its pods'
    /raftsman-<instance>/kubepods/besteffort            cpu shares: 2
    …/pod<uid>                                          the pod's limits; containers beneath

    /raftsman-<instance>/podman                         Podman's service and all conmons

Removal goes bottom-up, since the OCI runtime makes cgroups beneath the pod's in every controller.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import time
from pathlib import Path

from . import errors
from .podman_config import CGROUPS
from .specs import Qos, Resources, Usage

KUBEPODS = "kubepods"
SERVICE = "podman"
SHARES_MIN, SHARES_MAX = 2, 262_144
REMOVE_ATTEMPTS_MAX = 40
V1_LIMITED = ("cpu", "memory")
V2_CONTROLLERS = ("cpu", "memory", "pids")


def pod_path(root: str, qos: Qos, pod_uid: str) -> str:
    """The pod's cgroup relative to the mounts."""
    branch = "" if qos is Qos.GUARANTEED else f"/{qos.value}"
    return f"{root}/{KUBEPODS}{branch}/pod{pod_uid}"


class Cgroups:
    """The tree of one instance; `version` 1 or 2. All methods block for microseconds to milliseconds."""

    def __init__(self, root: str, version: int, *, mount: Path = CGROUPS) -> None:
        self.root = root
        self.version = version
        self._mount = mount

    def prepare(self) -> None:
        """Make the branches. Idempotent."""
        for qos in Qos:
            branch = os.path.dirname(pod_path(self.root, qos, "x"))
            self._make(branch)
        self._write(f"{self.root}/{KUBEPODS}/{Qos.BEST_EFFORT.value}", Resources(cpu_shares=SHARES_MIN))

    def adopt_service(self, pid: int) -> None:
        """Put Podman's service, and so every conmon that it will start, into a branch beside the pods'."""
        path = f"{self.root}/{SERVICE}"
        self._make(path)
        (self.directory("memory", path) / "cgroup.procs").write_text(str(pid))

    def place(self, path: str, pid: int) -> None:
        """Put a process into a cgroup of its own beneath a pod's."""
        self._make(path)
        (self.directory("memory", path) / "cgroup.procs").write_text(str(pid))

    def create_pod(self, path: str, resources: Resources) -> None:
        self._make(path)
        self.limit(path, resources)

    def limit(self, path: str, resources: Resources) -> None:
        """Write a pod's limits, and its branch's shares if that is burstable."""
        self._write(path, resources)
        self.balance(os.path.dirname(path))

    def balance(self, branch: str) -> None:
        """Give the burstable branch as many shares as its pods ask for together."""
        if os.path.basename(branch) != Qos.BURSTABLE.value:
            return
        name = "cpu.shares" if self.version == 1 else "cpu.weight"
        total = 0
        for directory in self.directory("cpu", branch).glob("pod*"):
            with contextlib.suppress(OSError, ValueError):
                total += int((directory / name).read_text())
        shares = total if self.version == 1 else _shares(total)
        with contextlib.suppress(FileNotFoundError):
            self._write(branch, Resources(cpu_shares=max(shares, SHARES_MIN)))

    def usage(self, path: str) -> Usage:
        """Counters of a pod's or container's cgroup; NotFound when it is gone."""
        try:
            return self._usage_v1(path) if self.version == 1 else self._usage_v2(path)
        except FileNotFoundError:
            raise errors.NotFound(f"cgroup {path} is gone") from None

    def oom_kills(self, path: str) -> int:
        """How many processes of that cgroup the kernel has killed for memory; 0 when the cgroup is gone."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        try:
            return _field((self.directory("memory", path) / name).read_text(), "oom_kill")
        except OSError:
            return 0

    def exists(self) -> bool:
        """Whether anything of this instance's tree is there."""
        return bool(self._trees(self.root))

    def processes(self, path: str) -> list[int]:
        """Every process beneath a cgroup, in any controller."""
        found: set[int] = set()
        for tree in self._trees(path):
            for directory, _, _ in os.walk(tree):
                with contextlib.suppress(OSError):
                    found.update(int(word) for word in Path(directory, "cgroup.procs").read_text().split())
        return sorted(found)

    def remove(self, path: str, *, kill: bool = False) -> None:
        """Remove a cgroup and all beneath it, in every controller; with `kill` its processes first.

        SandboxFault when it stays busy for about two seconds.
        """
        left = ""
        for attempt in range(REMOVE_ATTEMPTS_MAX):
            if kill:
                for pid in self.processes(path):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            left = next((directory for tree in self._trees(path) if (directory := _remove_tree(tree))), "")
            if not left:
                return
            time.sleep(min(0.002 * 2**attempt, 0.06))
        raise errors.SandboxFault(f"cgroup {left} is still busy")

    def _usage_v1(self, path: str) -> Usage:
        memory = self.directory("memory", path)
        used = int((memory / "memory.usage_in_bytes").read_text())
        idle = _field((memory / "memory.stat").read_text(), "total_inactive_file")
        cpu = int((self.directory("cpuacct", path) / "cpuacct.usage").read_text())
        pids = self.directory("pids", path) / "pids.current"
        return Usage(cpu, max(used - idle, 0), int(pids.read_text()) if pids.exists() else 0)

    def _usage_v2(self, path: str) -> Usage:
        directory = self.directory("", path)
        used = int((directory / "memory.current").read_text())
        idle = _field((directory / "memory.stat").read_text(), "inactive_file")
        cpu = _field((directory / "cpu.stat").read_text(), "usage_usec") * 1000
        return Usage(cpu, max(used - idle, 0), int((directory / "pids.current").read_text()))

    def _make(self, path: str) -> None:
        if self.version == 1:
            for controller in (*V1_LIMITED, "cpuacct", "pids"):
                if (self._mount / controller).is_dir():
                    self.directory(controller, path).mkdir(parents=True, exist_ok=True)
            return
        current = self._mount
        for part in path.strip("/").split("/"):
            with contextlib.suppress(OSError):
                (current / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in V2_CONTROLLERS))
            current = current / part
            current.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            (current / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in V2_CONTROLLERS))

    def _write(self, path: str, resources: Resources) -> None:
        for name, value in (_v1(resources) if self.version == 1 else _v2(resources)).items():
            controller = name.partition(".")[0]
            try:
                (self.directory(controller, path) / name).write_text(value)
            except OSError as refused:
                if refused.errno == errno.ENOENT:
                    raise
                raise errors.SandboxFault(f"cgroup {path}: {name}={value} was refused: {refused.strerror}") from refused

    def directory(self, controller: str, path: str) -> Path:
        """Where a cgroup's files are; the controller only counts on v1."""
        base = self._mount / controller if self.version == 1 else self._mount
        return base / path.lstrip("/")

    def _trees(self, path: str) -> list[Path]:
        if self.version == 2:
            bases = [self._mount]
        else:
            bases = [entry for entry in self._mount.iterdir() if entry.is_dir() and not entry.is_symlink()]
        return [tree for base in bases if (tree := base / path.lstrip("/")).is_dir()]


def _remove_tree(tree: Path) -> str:
    """Remove directories deepest first; the first that would not go, or an empty string."""
    for directory, _, _ in os.walk(tree, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return directory
    return ""


def _v1(resources: Resources) -> dict[str, str]:
    files: dict[str, str] = {}
    if resources.cpu_shares is not None:
        files["cpu.shares"] = str(min(max(resources.cpu_shares, SHARES_MIN), SHARES_MAX))
    if resources.cpu_quota_us is not None:
        files["cpu.cfs_period_us"] = str(resources.cpu_period_us)
        files["cpu.cfs_quota_us"] = str(resources.cpu_quota_us)
    if resources.memory_limit is not None:
        files["memory.limit_in_bytes"] = str(resources.memory_limit)
    return files


def _v2(resources: Resources) -> dict[str, str]:
    files: dict[str, str] = {}
    if resources.cpu_shares is not None:
        files["cpu.weight"] = str(_weight(resources.cpu_shares))
    if resources.cpu_quota_us is not None:
        quota = "max" if resources.cpu_quota_us < 0 else str(resources.cpu_quota_us)
        files["cpu.max"] = f"{quota} {resources.cpu_period_us}"
    if resources.memory_limit is not None:
        files["memory.max"] = str(resources.memory_limit)
    return files


def _weight(shares: int) -> int:
    """cgroup v2 weight of v1 shares, by the OCI runtimes' formula: 2..262144 onto 1..10000."""
    bounded = min(max(shares, SHARES_MIN), SHARES_MAX)
    return 1 + (bounded - 2) * 9999 // 262_142


def _shares(weight: int) -> int:
    """The fewest v1 shares of that weight: rounded up, so that `_weight` gives the weight back."""
    return 2 + math.ceil((max(weight, 1) - 1) * 262_142 / 9999)


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
