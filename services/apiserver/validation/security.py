"""Security contexts of pods and of their containers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftsman.core import v1 as core

from .causes import Causes

_PROFILES = frozenset({"Localhost", "RuntimeDefault", "Unconfined"})
_PROC_MOUNTS = frozenset({"Default", "Unmasked"})
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")
_SYSCTL_MAX = 253
_ID_RANGE = "must be between 0 and 2147483647, inclusive"


def container(found: core.SecurityContext, causes: Causes, *, path: str) -> None:
    _ids(found, causes, path=path)
    _profiles(found, causes, path=path)
    if found.HasField("proc_mount") and found.proc_mount not in _PROC_MOUNTS:
        causes.not_supported(f"{path}.procMount", found.proc_mount, _PROC_MOUNTS)
    if found.HasField("allow_privilege_escalation") and not found.allow_privilege_escalation:
        if found.privileged:
            causes.invalid(path, "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in found.capabilities.add:
            causes.invalid(
                path, "", "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            )


def pod(found: core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    _ids(found, causes, path=path)
    _profiles(found, causes, path=path)
    _sysctls(found.sysctls, causes, path=f"{path}.sysctls")
    if found.HasField("fs_group") and not 0 <= found.fs_group < 1 << 31:
        causes.invalid(f"{path}.fsGroup", found.fs_group, _ID_RANGE)
    for index, group in enumerate(found.supplemental_groups):
        if not 0 <= group < 1 << 31:
            causes.invalid(f"{path}.supplementalGroups[{index}]", group, _ID_RANGE)
    choices: tuple[tuple[str, bool, str, tuple[str, ...]], ...] = (
        ("fsGroupChangePolicy", found.HasField("fs_group_change_policy"), found.fs_group_change_policy,
         ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", found.HasField("supplemental_groups_policy"), found.supplemental_groups_policy,
         ("Merge", "Strict")),
        ("seLinuxChangePolicy", found.HasField("se_linux_change_policy"), found.se_linux_change_policy,
         ("MountOption", "Recursive")),
    )  # fmt: skip
    for word, given, value, allowed in choices:
        if given and value not in allowed:
            causes.not_supported(f"{path}.{word}", value, allowed)


def _profiles(found: core.SecurityContext | core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    for word, what, given, profile in (
        ("seccompProfile", "seccomp type", found.HasField("seccomp_profile"), found.seccomp_profile),
        ("appArmorProfile", "AppArmor type", found.HasField("app_armor_profile"), found.app_armor_profile),
    ):
        if given:
            _profile(profile, causes, path=f"{path}.{word}", what=what)


def _profile(found: core.SeccompProfile | core.AppArmorProfile, causes: Causes, *, path: str, what: str) -> None:
    if not found.type:
        causes.required(f"{path}.type")
    elif found.type not in _PROFILES:
        causes.not_supported(f"{path}.type", found.type, _PROFILES)
    if found.type == "Localhost":
        if not found.localhost_profile:
            causes.required(f"{path}.localhostProfile", f"must be set when {what} is Localhost")
        elif found.localhost_profile.startswith("/") and isinstance(found, core.SeccompProfile):
            causes.invalid(f"{path}.localhostProfile", found.localhost_profile, "must be a relative path")
    elif found.HasField("localhost_profile"):
        causes.invalid(f"{path}.localhostProfile", found.localhost_profile, f"can only be set when {what} is Localhost")


def _sysctls(found: Sequence[core.Sysctl], causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(found):
        at = f"{path}[{index}].name"
        if not sysctl.name:
            causes.required(at)
        elif len(sysctl.name) > _SYSCTL_MAX or not _SYSCTL.fullmatch(sysctl.name):
            causes.invalid(at, sysctl.name, f"must have at most {_SYSCTL_MAX} characters and match {_SYSCTL.pattern}")
        elif sysctl.name.replace("/", ".") in seen:
            causes.duplicate(at, sysctl.name)
        seen.add(sysctl.name.replace("/", "."))


def _ids(found: core.SecurityContext | core.PodSecurityContext, causes: Causes, *, path: str) -> None:
    for field, word in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
        value = getattr(found, field)
        if found.HasField(field) and not 0 <= value < 1 << 31:  # type: ignore[arg-type]
            causes.invalid(f"{path}.{word}", value, _ID_RANGE)
