"""From a ContainerSpec to Podman's SpecGenerator document. Pure.

Field names are those of podman 4.3's `POST /libpod/containers/create`; newer versions take the same.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import errors
from .specs import ContainerSpec, Mount, Resources, Sandbox, Security

LABEL = "io.raftsman."
POD_UID, POD_NAME, POD_NAMESPACE = f"{LABEL}pod.uid", f"{LABEL}pod.name", f"{LABEL}pod.namespace"
CONTAINER_NAME, ATTEMPT, LOG_PATH, TTY, STOP_SIGNAL = (
    f"{LABEL}name",
    f"{LABEL}attempt",
    f"{LABEL}log-path",
    f"{LABEL}tty",
    f"{LABEL}stop-signal",
)
STOP_TIMEOUT_S = 10


def container_name(sandbox: Sandbox, spec: ContainerSpec) -> str:
    """Unique on the node, and the same for the same attempt."""
    return f"{spec.name}_{sandbox.pod_name}_{sandbox.pod_namespace}_{sandbox.pod_uid}_{spec.attempt}"


def document(
    sandbox: Sandbox, spec: ContainerSpec, *, seccomp_profile: Path, oom_score_least: int = -1000
) -> dict[str, Any]:
    """The body of a create call. `seccomp_profile` is for a container that names none; `oom_score_least` is the
    lowest OOM score that this machine lets anybody set."""
    body: dict[str, Any] = {
        "name": container_name(sandbox, spec),
        "image": spec.image,
        "env": {"HOSTNAME": sandbox.hostname, **spec.env},
        "labels": _labels(sandbox, spec),
        "mounts": [_mount(mount) for mount in _with_pod_files(sandbox, spec.mounts)],
        "use_image_hosts": True,
        "use_image_resolve_conf": True,
        "manage_password": False,
        "systemd": "false",
        "cgroup_parent": sandbox.cgroup,
        # conmon stays with Podman's service: moving a process costs a kernel grace period, some 15 ms a container.
        "cgroups_mode": "no-conmon",
        "cgroupns": {"nsmode": "private"},
        "log_configuration": {"driver": "k8s-file", "path": str(spec.log_path)},
        "stop_timeout": STOP_TIMEOUT_S,
        "terminal": spec.tty,
        "stdin": spec.stdin,
        **_namespaces(sandbox, spec),
        **_security(spec.security, seccomp_profile),
    }
    if spec.command:
        body["entrypoint"], body["command"] = list(spec.command), list(spec.args)
    elif spec.args:
        body["command"] = list(spec.args)
    if spec.working_dir:
        body["work_dir"] = spec.working_dir
        body["create_working_dir"] = True
    if spec.devices:
        body["devices"] = [{"path": f"{device.source}:{device.target}:{device.permissions}"} for device in spec.devices]
    if spec.stop_signal:
        body["stop_signal"] = signal_number(spec.stop_signal)
    limits = _limits(spec.resources)
    if limits:
        body["resource_limits"] = limits
    if spec.resources.oom_score_adj is not None:
        body["oom_score_adj"] = max(spec.resources.oom_score_adj, oom_score_least)
    return body


def signal_number(name: str) -> int:
    """A signal's number from SIGTERM, TERM or 15."""
    word = name.strip().upper()
    if word.isdigit() and 0 < int(word) < signal.NSIG:
        return int(word)
    try:
        return signal.Signals[word if word.startswith("SIG") else f"SIG{word}"].value
    except KeyError:
        raise errors.ContainerFault(f"{name!r} is not a signal") from None


def _labels(sandbox: Sandbox, spec: ContainerSpec) -> Mapping[str, str]:
    return {
        **spec.labels,
        POD_UID: sandbox.pod_uid,
        POD_NAME: sandbox.pod_name,
        POD_NAMESPACE: sandbox.pod_namespace,
        CONTAINER_NAME: spec.name,
        ATTEMPT: str(spec.attempt),
        LOG_PATH: str(spec.log_path),
        TTY: str(int(spec.tty)),
        STOP_SIGNAL: str(signal_number(spec.stop_signal or "SIGTERM")),
    }


def _with_pod_files(sandbox: Sandbox, mounts: tuple[Mount, ...]) -> list[Mount]:
    """The pod's own files and shared memory, except where the container mounts something there itself."""
    files = {name: f"/etc/{name}" for name in ("hosts", "hostname", "resolv.conf")}
    if not sandbox.host_ipc:
        files["shm"] = "/dev/shm"
    taken = {mount.target.rstrip("/") for mount in mounts}
    present = [
        Mount(sandbox.directory / name, target)
        for name, target in files.items()
        if target not in taken and (sandbox.directory / name).exists()
    ]
    return [*present, *mounts]


def _mount(mount: Mount) -> dict[str, Any]:
    if not mount.source.exists():
        raise errors.ContainerFault(f"mount source {mount.source} for {mount.target} does not exist")
    options = ["rbind", mount.propagation.value, "ro" if mount.read_only else "rw"]
    return {"type": "bind", "source": str(mount.source), "destination": mount.target, "options": options}


def _namespaces(sandbox: Sandbox, spec: ContainerSpec) -> dict[str, Any]:
    host = {"nsmode": "host"}

    def pinned(name: str) -> dict[str, str]:
        return {"nsmode": "path", "value": str(Path(sandbox.directory, name))}

    spaces: dict[str, Any] = {
        "netns": host if sandbox.host_network else pinned("net"),
        "utsns": host if sandbox.host_network else pinned("uts"),
        "ipcns": host if sandbox.host_ipc else pinned("ipc"),
    }
    if sandbox.host_pid:
        spaces["pidns"] = host
    elif sandbox.pause_pid:
        spaces["pidns"] = pinned("pid")
    elif spec.processes:
        spaces["pidns"] = {"nsmode": "path", "value": f"/proc/{spec.processes}/ns/pid"}
    return spaces


def _security(security: Security, seccomp_profile: Path) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "privileged": security.privileged,
        "read_only_filesystem": security.read_only_root,
        "no_new_privileges": security.no_new_privileges,
        "cap_add": [_capability(name) for name in security.add_capabilities],
        "cap_drop": [_capability(name) for name in security.drop_capabilities],
        "groups": [str(group) for group in security.supplemental_groups],
    }
    if security.user is not None or security.group is not None:
        user = "0" if security.user is None else str(security.user)
        fields["user"] = user if security.group is None else f"{user}:{security.group}"
    profile = str(seccomp_profile) if security.seccomp is None else security.seccomp
    if profile != "runtime/default" and not (security.privileged and security.seccomp is None):
        fields["seccomp_profile_path"] = profile
    return fields


def _capability(name: str) -> str:
    word = name.upper()
    return word if word == "ALL" or word.startswith("CAP_") else f"CAP_{word}"


def _limits(resources: Resources) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    cpu: dict[str, int] = {}
    if resources.cpu_shares is not None:
        cpu["shares"] = resources.cpu_shares
    if resources.cpu_quota_us is not None:
        cpu["quota"], cpu["period"] = resources.cpu_quota_us, resources.cpu_period_us
    if cpu:
        limits["cpu"] = cpu
    if resources.memory_limit is not None:
        limits["memory"] = {"limit": resources.memory_limit}
    return limits
