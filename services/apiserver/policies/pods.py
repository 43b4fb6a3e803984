"""The pod security standards: what a pod may not ask for at the levels baseline and restricted. Pure.

Each check says what is wrong in the words and the order of Kubernetes' own, naming the containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raftsman.core import v1 as core

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
_CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
})  # fmt: skip
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_VOLUMES = frozenset({
    "config_map", "csi", "downward_api", "empty_dir", "ephemeral", "persistent_volume_claim", "projected", "secret",
})  # fmt: skip

Check = Callable[[core.PodSpec], "str | None"]


def violations(spec: core.PodSpec, level: str) -> list[str]:
    """Nothing at the level privileged; a level that nobody knows counts as restricted."""
    if level == PRIVILEGED:
        return []
    checks = _BASELINE if level == BASELINE else (*_BASELINE, *_RESTRICTED)
    found = (check(spec) for check in checks)
    return [one for one in found if one is not None]


def _containers(spec: core.PodSpec) -> Iterator[tuple[str, Any]]:
    """(name, what it says)."""
    for one in (*spec.init_containers, *spec.containers):
        yield one.name, one
    for ephemeral in spec.ephemeral_containers:
        yield ephemeral.ephemeral_container_common.name, ephemeral.ephemeral_container_common


def _those(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"container {quoted}" if len(names) == 1 else f"containers {quoted}"


def _named(spec: core.PodSpec, wrong: Callable[[Any], bool]) -> list[str]:
    return [name for name, container in _containers(spec) if wrong(container.security_context)]


# -- baseline


def _host_namespaces(spec: core.PodSpec) -> str | None:
    used = (("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc))
    found = [f"{field}=true" for field, value in used if value]
    return f"host namespaces ({', '.join(found)})" if found else None


def _privileged(spec: core.PodSpec) -> str | None:
    names = _named(spec, lambda context: context.privileged)
    return f"privileged ({_those(names)} must not set securityContext.privileged=true)" if names else None


def _added_capabilities(spec: core.PodSpec) -> str | None:
    names, added = [], set()
    for name, container in _containers(spec):
        extra = set(container.security_context.capabilities.add) - _CAPABILITIES
        if extra:
            names.append(name)
            added |= extra
    listed = ", ".join(f'"{one}"' for one in sorted(added))
    why = f"{_those(names)} must not include {listed} in securityContext.capabilities.add"
    return f"non-default capabilities ({why})" if names else None


def _host_paths(spec: core.PodSpec) -> str | None:
    names = [f'"{one.name}"' for one in spec.volumes if one.volume_source.HasField("host_path")]
    word = "volume" if len(names) == 1 else "volumes"
    return f"hostPath volumes ({word} {', '.join(names)})" if names else None


def _host_ports(spec: core.PodSpec) -> str | None:
    names, ports = [], set()
    for name, container in _containers(spec):
        used = {port.host_port for port in container.ports if port.host_port}
        if used:
            names.append(name)
            ports |= used
    if not names:
        return None
    word = "use hostPorts" if len(names) > 1 else "uses hostPorts" if len(ports) > 1 else "uses hostPort"
    return f"hostPort ({_those(names)} {word} {', '.join(map(str, sorted(ports)))})"


def _selinux(spec: core.PodSpec) -> str | None:
    def wrong(options: core.SELinuxOptions) -> bool:
        return options.type not in _SELINUX_TYPES or bool(options.user) or bool(options.role)

    names = _named(spec, lambda context: wrong(context.se_linux_options))
    whole = wrong(spec.security_context.se_linux_options)
    if not names and not whole:
        return None
    who = " and ".join(filter(None, ("pod" if whole else "", _those(names) if names else "")))
    return f"seLinuxOptions ({who} set forbidden securityContext.seLinuxOptions)"


def _proc_mount(spec: core.PodSpec) -> str | None:
    names = _named(spec, lambda context: context.proc_mount not in ("", "Default"))
    return f'procMount ({_those(names)} must not set securityContext.procMount to "Unmasked")' if names else None


def _unconfined(spec: core.PodSpec, field: str) -> str | None:
    names = _named(spec, lambda context: getattr(context, field).type == "Unconfined")
    whole = getattr(spec.security_context, field).type == "Unconfined"
    if not names and not whole:
        return None
    who = " and ".join(filter(None, ("pod" if whole else "", _those(names) if names else "")))
    said = "seccompProfile" if field == "seccomp_profile" else "appArmorProfile"
    return f'{said} ({who} must not set securityContext.{said}.type to "Unconfined")'


def _sysctls(spec: core.PodSpec) -> str | None:
    names = [one.name for one in spec.security_context.sysctls if one.name not in _SYSCTLS]
    return f"forbidden sysctls ({', '.join(names)})" if names else None


def _host_process(spec: core.PodSpec) -> str | None:
    names = _named(spec, lambda context: context.windows_options.host_process)
    if not names and not spec.security_context.windows_options.host_process:
        return None
    who = _those(names) if names else "pod"
    return f"hostProcess ({who} must not set securityContext.windowsOptions.hostProcess=true)"


def _host_probes(spec: core.PodSpec) -> str | None:
    names = [name for name, container in _containers(spec) if any(_hosts(container))]
    if not names:
        return None
    return f"probe or lifecycle host ({_those(names)} must not set a host in probes or lifecycle handlers)"


def _hosts(container: Any) -> Iterator[str]:
    for probe in (container.liveness_probe, container.readiness_probe, container.startup_probe):
        yield probe.handler.http_get.host
        yield probe.handler.tcp_socket.host
    for handler in (container.lifecycle.post_start, container.lifecycle.pre_stop):
        yield handler.http_get.host
        yield handler.tcp_socket.host


# -- restricted


def _volume_types(spec: core.PodSpec) -> str | None:
    wrong = []
    for volume in spec.volumes:
        kinds = [field.name for field, _ in volume.volume_source.ListFields() if field.name not in _VOLUMES]
        if kinds:
            wrong.append((volume.name, kinds[0]))
    if not wrong:
        return None
    names, kinds = [f'"{name}"' for name, _ in wrong], sorted({_json_name(kind) for _, kind in wrong})
    word, uses = ("volume", "uses") if len(names) == 1 else ("volumes", "use")
    types = ", ".join(f'"{kind}"' for kind in kinds)
    plural = "type" if len(kinds) == 1 else "types"
    return f"restricted volume types ({word} {', '.join(names)} {uses} restricted volume {plural} {types})"


def _json_name(field: str) -> str:
    return str(core.VolumeSource.DESCRIPTOR.fields_by_name[field].json_name)


def _escalation(spec: core.PodSpec) -> str | None:
    names = _named(
        spec,
        lambda context: not context.HasField("allow_privilege_escalation") or context.allow_privilege_escalation,
    )
    why = f"{_those(names)} must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({why})" if names else None


def _dropped_capabilities(spec: core.PodSpec) -> str | None:
    keeping = _named(spec, lambda context: "ALL" not in context.capabilities.drop)
    adding = _named(spec, lambda context: bool(set(context.capabilities.add) - {"NET_BIND_SERVICE"}))
    parts = []
    if keeping:
        parts.append(f'{_those(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        parts.append(
            f"{_those(adding)} must not include more than NET_BIND_SERVICE in securityContext.capabilities.add"
        )
    return f"unrestricted capabilities ({'; '.join(parts)})" if parts else None


def _non_root(spec: core.PodSpec) -> str | None:
    whole = spec.security_context
    allowed = whole.HasField("run_as_non_root") and whole.run_as_non_root
    names = _named(
        spec,
        lambda context: not context.run_as_non_root if context.HasField("run_as_non_root") else not allowed,
    )
    if not names:
        return None
    return f"runAsNonRoot != true (pod or {_those(names)} must set securityContext.runAsNonRoot=true)"


def _root_user(spec: core.PodSpec) -> str | None:
    def root(context: Any) -> bool:
        return bool(context.HasField("run_as_user") and context.run_as_user == 0)

    names = _named(spec, root)
    who = " and ".join(filter(None, ("pod" if root(spec.security_context) else "", _those(names) if names else "")))
    return f"runAsUser=0 ({who} must not set runAsUser=0)" if who else None


def _seccomp(spec: core.PodSpec) -> str | None:
    confined = ("RuntimeDefault", "Localhost")
    whole = spec.security_context.seccomp_profile.type in confined
    names = _named(spec, lambda context: not (context.seccomp_profile.type in confined or
                                              (not context.seccomp_profile.type and whole)))  # fmt: skip
    if not names:
        return None
    types = '"RuntimeDefault" or "Localhost"'
    return f"seccompProfile (pod or {_those(names)} must set securityContext.seccompProfile.type to {types})"


_BASELINE: tuple[Check, ...] = (
    _host_namespaces, _privileged, _added_capabilities, _host_paths, _host_ports,
    lambda spec: _unconfined(spec, "app_armor_profile"), _selinux, _proc_mount,
    lambda spec: _unconfined(spec, "seccomp_profile"), _sysctls, _host_process, _host_probes,
)  # fmt: skip
_RESTRICTED: tuple[Check, ...] = (
    _volume_types, _escalation, _dropped_capabilities, _non_root, _root_user, _seccomp,
)  # fmt: skip
