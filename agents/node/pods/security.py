"""A container's identity and powers from both security contexts; the container's own wins. Pure.

A container that names no seccomp profile runs under the runtime's default one, not unconfined.
"""

from __future__ import annotations

from raftsman.agents.node.runtime import Image, Security
from raftsman.core import v1 as core

from .environment import ConfigFault

SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)


def of(pod: core.Pod, container: core.Container, image: Image) -> Security:
    """ConfigFault where a container must not run as root but would."""
    whole, own = pod.spec.security_context, container.security_context
    user = next((int(c.run_as_user) for c in (own, whole) if c.HasField("run_as_user")), None)
    group = next((int(c.run_as_group) for c in (own, whole) if c.HasField("run_as_group")), None)
    if own.run_as_non_root if own.HasField("run_as_non_root") else whole.run_as_non_root:
        _check_not_root(user, image)
    groups = tuple(
        dict.fromkeys([*whole.supplemental_groups, *([whole.fs_group] if whole.HasField("fs_group") else [])])
    )
    return Security(
        user=user if user is not None or group is None else _image_user(image),
        group=group,
        supplemental_groups=groups,
        add_capabilities=tuple(own.capabilities.add),
        drop_capabilities=tuple(own.capabilities.drop),
        privileged=own.privileged,
        read_only_root=own.read_only_root_filesystem,
        no_new_privileges=own.HasField("allow_privilege_escalation") and not own.allow_privilege_escalation,
        seccomp=_seccomp(own, whole),
    )


def _image_user(image: Image) -> int | str | None:
    name = image.user.partition(":")[0]
    return int(name) if name.isdigit() else name or None


def _check_not_root(user: int | None, image: Image) -> None:
    if user == 0:
        raise ConfigFault("container's runAsUser breaks non-root policy")
    if user is not None:
        return
    named = _image_user(image)
    if named is None or named == 0:
        raise ConfigFault("container has runAsNonRoot and image will run as root")
    if isinstance(named, str):
        raise ConfigFault(
            f"container has runAsNonRoot and image has non-numeric user ({named}), cannot verify user is non-root"
        )


def _seccomp(own: core.SecurityContext, whole: core.PodSecurityContext) -> str | None:
    if own.privileged:
        return "unconfined"
    for context in (own, whole):
        if context.HasField("seccomp_profile"):
            profile = context.seccomp_profile
            if profile.type == "Localhost":
                raise ConfigFault("seccompProfile of type Localhost is not supported: use RuntimeDefault")
            return {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}.get(profile.type)
    return None


def refused_sysctls(pod: core.Pod) -> list[str]:
    """Sysctls that the pod asks for and that do not belong to it alone."""
    return [s.name for s in pod.spec.security_context.sysctls if s.name not in SAFE_SYSCTLS]
