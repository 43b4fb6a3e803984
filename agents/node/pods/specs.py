"""From the API's pod to the runtime's sandbox and container specifications. Pure, but for what is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raftsman.agents.node.runtime import ContainerSpec, Dns, Image, Mount, Propagation, Sandbox, SandboxSpec
from raftsman.agents.node.settings import Settings
from raftsman.agents.node.volumes.volume_path import VolumePath
from raftsman.core import v1 as core

from . import fingerprint, name_resolution, qos, resizing, security
from .environment import ConfigFault, expand
from .observation import GRACE_LABEL, IMAGE_LABEL, RESOURCES_LABEL, SANDBOX_LABEL, SPEC_LABEL

TERMINATION_PATH = "/dev/termination-log"
_PROPAGATION = {
    "": Propagation.PRIVATE,
    "None": Propagation.PRIVATE,
    "HostToContainer": Propagation.HOST_TO_CONTAINER,
    "Bidirectional": Propagation.BIDIRECTIONAL,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a container needs besides its own specification."""

    sandbox: Sandbox
    image: Image
    env: Mapping[str, str]
    volumes: Mapping[str, VolumePath]
    memory_capacity: int
    processes: int = 0
    """The process whose namespace of processes the container joins; 0: its own."""


def sandbox_spec(pod: core.Pod, settings: Settings, host_dns: Dns) -> SandboxSpec:
    hostname, domain = name_resolution.hostname_of(pod, cluster_domain=settings.cluster_domain)
    return SandboxSpec(
        pod_uid=pod.metadata.uid,
        pod_name=pod.metadata.name,
        pod_namespace=pod.metadata.namespace,
        hostname=settings.node_name if pod.spec.host_network else hostname,
        domain=domain,
        qos=qos.branch_of(pod),
        resources=qos.pod_resources(pod),
        dns=name_resolution.configure(
            pod, host=host_dns, cluster_dns=settings.cluster_dns, cluster_domain=settings.cluster_domain
        ),
        host_aliases=name_resolution.host_aliases(pod),
        sysctls={s.name: s.value for s in pod.spec.security_context.sysctls},
        host_network=pod.spec.host_network,
        host_ipc=pod.spec.host_ipc,
        host_pid=pod.spec.host_pid,
        share_process_namespace=pod.spec.share_process_namespace,
    )


def log_path(settings: Settings, uid: str, name: str, attempt: int) -> Path:
    return settings.pod_dir(uid) / "logs" / name / f"{attempt}.log"


def message_path(settings: Settings, uid: str, name: str, attempt: int) -> Path:
    """The file that a container sees at its terminationMessagePath."""
    return settings.pod_dir(uid) / "messages" / name / str(attempt)


def container_spec(
    pod: core.Pod, container: core.Container, around: Surroundings, *, attempt: int, settings: Settings
) -> ContainerSpec:
    """ConfigFault says what cannot be done."""
    uid = pod.metadata.uid
    message = Mount(
        message_path(settings, uid, container.name, attempt), container.termination_message_path or TERMINATION_PATH
    )
    return ContainerSpec(
        name=container.name,
        image=container.image,
        log_path=log_path(settings, uid, container.name, attempt),
        attempt=attempt,
        command=tuple(expand(word, around.env) for word in container.command),
        args=tuple(expand(word, around.env) for word in container.args),
        env=around.env,
        working_dir=container.working_dir or None,
        mounts=(*(mount_of(m, around) for m in container.volume_mounts), message),
        resources=qos.container_resources(pod, container, memory_capacity=around.memory_capacity),
        security=security.of(pod, container, around.image),
        labels={
            SANDBOX_LABEL: around.sandbox.created_at.isoformat(),
            SPEC_LABEL: fingerprint.of(container),
            RESOURCES_LABEL: resizing.label_of(container),
            GRACE_LABEL: str(pod.spec.termination_grace_period_seconds),
            IMAGE_LABEL: next(iter(around.image.digests), f"sha256:{around.image.id}"),
        },
        tty=container.tty,
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        stop_signal=container.lifecycle.stop_signal or None,
        processes=around.processes,
    )


def mount_of(mount: core.VolumeMount, around: Surroundings) -> Mount:
    volume = around.volumes.get(mount.name)
    if volume is None:
        raise ConfigFault(f'volume "{mount.name}" of the mount at {mount.mount_path} is not there')
    source = volume.path
    part = expand(mount.sub_path_expr, around.env) if mount.sub_path_expr else mount.sub_path
    if part:
        source = inside(volume, part)
    return Mount(
        source,
        mount.mount_path if mount.mount_path.startswith("/") else f"/{mount.mount_path}",
        read_only=mount.read_only or volume.read_only,
        propagation=_PROPAGATION[mount.mount_propagation],
    )


def inside(volume: VolumePath, part: str) -> Path:
    """A subPath's place, made as a directory if it is absent; never outside its volume, whatever links say."""
    relative = Path(part)
    if relative.is_absolute() or ".." in relative.parts:
        raise ConfigFault(f"subPath {part!r} must be relative and must not contain '..'")
    root = volume.path.resolve()
    target = (root / relative).resolve()
    if not target.is_relative_to(root):
        raise ConfigFault(f"subPath {part!r} leads out of its volume")
    if not target.exists():
        if volume.read_only:
            raise ConfigFault(f"subPath {part!r} is not in its volume")
        _make_below(root, target)
    return target


def _make_below(root: Path, target: Path) -> None:
    """Directories that may be used by whoever may use the volume."""
    mode = root.stat().st_mode & 0o7777
    for folder in (*reversed(target.parents), target):
        if folder.is_relative_to(root) and not folder.exists():
            folder.mkdir()
            folder.chmod(mode)
