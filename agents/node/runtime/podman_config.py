"""What Podman is told about one instance: containers.conf and storage.conf, chosen by what this machine has.

Reads the mounts, the process's capabilities and limits; writes two files under the data directory's podman/.
Nothing outside the instance is read or changed: neither /etc/containers/containers.conf nor ~/.config counts.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import errors
from .layout import Layout

# What container runtimes under Kubernetes give by default; Podman's own default leaves out the last three.
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT", "AUDIT_WRITE", "MKNOD", "NET_RAW",
)  # fmt: skip
CAP_SYS_RESOURCE = 24
LIMITS_MAX = {"nofile": 1_048_576, "nproc": 32_768}
NEEDED = ("podman", "conmon", "nsenter", "setpriv")
SECCOMP_PROFILE = Path("/usr/share/containers/seccomp.json")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found: cgroup version (1 also for hybrid), OCI runtime, and whether limits may be raised."""

    cgroup_version: int
    oci_runtime: str
    may_raise_limits: bool


def detect(runtime: str | None = None) -> Machine:
    """Look at this machine; Unavailable with a sentence if it cannot run containers."""
    if os.geteuid() != 0:
        raise errors.Unavailable("the node agent must run as root: it makes namespaces, mounts and cgroups")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise errors.Unavailable(f"not installed: {', '.join(missing)}; `apt-get install podman conmon util-linux`")
    version = 2 if (CGROUPS / "cgroup.controllers").exists() else 1
    if version == 1 and not (CGROUPS / "memory").is_dir():
        raise errors.Unavailable(f"no memory controller under {CGROUPS}; mount cgroups before starting the agent")
    if not capable(21):
        raise errors.Unavailable("the node agent needs CAP_SYS_ADMIN, and this process does not have it")
    return Machine(version, runtime or _oci_runtime(version), capable(CAP_SYS_RESOURCE))


def capable(capability: int) -> bool:
    """Whether this process has the capability of that number, capabilities(7)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> capability & 1)


def oom_score_least() -> int:
    """The lowest oom_score_adj that a child may get: without CAP_SYS_RESOURCE runc dies of asking for a lower one."""
    return -1000 if capable(CAP_SYS_RESOURCE) else int(Path("/proc/self/oom_score_adj").read_text())


def _oci_runtime(cgroup_version: int) -> str:
    # crun is faster but refuses hybrid cgroups (v1 controllers with a v2 mount beside them).
    hybrid = cgroup_version == 1 and (CGROUPS / "unified").is_dir()
    order = ("runc",) if hybrid else ("crun", "runc")
    for name in order:
        if shutil.which(name):
            return name
    raise errors.Unavailable(f"no OCI runtime: install {' or '.join(order)}")


def write(layout: Layout, machine: Machine, image_stores: Sequence[Path] = ()) -> Mapping[str, str]:
    """Write both files if they differ, and give the environment that makes any podman command use them."""
    containers, storage = layout.podman_dir / "containers.conf", layout.podman_dir / "storage.conf"
    layout.podman_dir.mkdir(parents=True, exist_ok=True)
    _replace(containers, containers_conf(layout, machine))
    _replace(storage, storage_conf(layout, image_stores))
    if SECCOMP_PROFILE.exists():
        _replace(layout.seccomp_profile, json.dumps(denials(json.loads(SECCOMP_PROFILE.read_bytes()))))
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {
        **environment,
        **proxies,
        "CONTAINERS_CONF": str(containers),
        "CONTAINERS_STORAGE_CONF": str(storage),
        # A small heap: the service is idle nearly always, and idle memory is what users see.
        "GOGC": "25",
    }


def denials(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    """A seccomp profile with only what another one denies by name; what it does not know passes.

    A runtime needs 15 ms to compile the distribution's list of all that is allowed, and less than 1 ms for this. It is
    what a container without a seccompProfile gets, which Kubernetes would run unconfined; RuntimeDefault is the whole.
    """
    denied = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO"]
    return {"defaultAction": "SCMP_ACT_ALLOW", "archMap": profile.get("archMap", []), "syscalls": denied}


def containers_conf(layout: Layout, machine: Machine) -> str:
    """containers.conf(5) of one instance."""
    ulimits = [] if machine.may_raise_limits else [_ulimit("nofile", 7), _ulimit("nproc", 6)]
    sections: dict[str, dict[str, object]] = {
        "containers": {
            "base_hosts_file": "none",
            "default_capabilities": list(CAPABILITIES),
            "default_sysctls": [],
            "default_ulimits": ulimits,
            "log_driver": "k8s-file",
            "pids_limit": 0,
        },
        "engine": {
            "runtime": machine.oci_runtime,
            "cgroup_manager": "cgroupfs",
            # Shared memory locks are one segment a machine: two instances would corrupt each other.
            "lock_type": "file",
            "events_logger": "none",
            "exit_command_delay": 1,
            "tmp_dir": str(layout.tmp_dir),
            "image_copy_tmp_dir": "storage",
        },
        "network": {"network_backend": "netavark", "network_config_dir": str(layout.podman_dir / "networks")},
    }
    return _toml(sections)


def storage_conf(layout: Layout, image_stores: Sequence[Path]) -> str:
    """containers-storage.conf(5); additional stores only count when the graph root stands here, not on a command."""
    sections: dict[str, dict[str, object]] = {
        "storage": {"driver": "overlay", "graphroot": str(layout.graph_root), "runroot": str(layout.run_root)}
    }
    if image_stores:
        sections["storage.options"] = {"additionalimagestores": [str(store) for store in image_stores]}
    return _toml(sections)


def _ulimit(name: str, number: int) -> str:
    # Podman lowers its own limits to these at start, and a container without CAP_SYS_RESOURCE cannot go above.
    hard, bounded = resource.getrlimit(number)[1], LIMITS_MAX[name]
    if hard != resource.RLIM_INFINITY:
        bounded = min(hard, bounded)
    return f"{name}={bounded}:{bounded}"


def _toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    # JSON's strings, numbers and lists of strings are TOML's.
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for name, keys in sections.items()
    )


def _replace(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)
