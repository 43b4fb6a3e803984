"""Where a container mounts the volumes of its pod, as folders or as devices."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.core import v1 as core

from .causes import Causes

_PROPAGATIONS = frozenset({"", "None", "HostToContainer", "Bidirectional"})
_RECURSIVE = frozenset({"Disabled", "Enabled", "IfPossible"})


def all_of(found: core.Container, causes: Causes, *, path: str, volumes: Sequence[core.Volume]) -> None:
    by_name = {volume.name: volume.volume_source for volume in volumes}
    _mounts(found, causes, path=f"{path}.volumeMounts", volumes=by_name)
    _devices(found, causes, path=f"{path}.volumeDevices", volumes=by_name)


def _mounts(container: core.Container, causes: Causes, *, path: str, volumes: dict[str, core.VolumeSource]) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        at = f"{path}[{index}]"
        privileged = container.security_context.privileged
        _propagation(mount, privileged=privileged, causes=causes, path=f"{at}.mountPropagation")
        if not mount.name:
            causes.required(f"{at}.name")
        elif mount.name not in volumes:
            causes.not_found(f"{at}.name", mount.name)
        if not mount.mount_path:
            causes.required(f"{at}.mountPath")
        elif mount.mount_path in seen:
            causes.invalid(f"{at}.mountPath", mount.mount_path, "must be unique")
        seen.add(mount.mount_path)
        if mount.sub_path and mount.sub_path_expr:
            causes.invalid(f"{at}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive")
        for word, text in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
            if text:
                below(text, causes, path=f"{at}.{word}")
        _recursive(mount, causes, path=f"{at}.recursiveReadOnly")


def _propagation(mount: core.VolumeMount, *, privileged: bool, causes: Causes, path: str) -> None:
    if mount.mount_propagation not in _PROPAGATIONS:
        causes.not_supported(path, mount.mount_propagation, _PROPAGATIONS - {""})
    elif mount.mount_propagation == "Bidirectional" and not privileged:
        causes.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _recursive(mount: core.VolumeMount, causes: Causes, *, path: str) -> None:
    if not mount.HasField("recursive_read_only"):
        return
    if mount.recursive_read_only not in _RECURSIVE:
        causes.not_supported(path, mount.recursive_read_only, _RECURSIVE)
    elif mount.recursive_read_only != "Disabled":
        if not mount.read_only:
            causes.forbidden(path, "may only be specified when readOnly is true")
        if mount.mount_propagation not in ("", "None"):
            causes.forbidden(path, "may only be specified when mountPropagation is None or not specified")


def below(text: str, causes: Causes, *, path: str) -> None:
    """A relative path that stays inside."""
    if text.startswith("/"):
        causes.invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        causes.invalid(path, text, "must not contain '..'")


def _devices(container: core.Container, causes: Causes, *, path: str, volumes: dict[str, core.VolumeSource]) -> None:
    """Volumes as devices: only claims can be, and none is a folder too."""
    mounted = {mount.name for mount in container.volume_mounts}
    folders = {mount.mount_path for mount in container.volume_mounts}
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(container.volume_devices):
        at = f"{path}[{index}]"
        if not device.name:
            causes.required(f"{at}.name")
        elif device.name in names:
            causes.invalid(f"{at}.name", device.name, "must be unique")
        elif device.name not in volumes:
            causes.not_found(f"{at}.name", device.name)
        elif not volumes[device.name].HasField("persistent_volume_claim") and not volumes[device.name].HasField(
            "ephemeral"
        ):
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            causes.invalid(f"{at}.name", device.name, why)
        if device.name in mounted:
            causes.invalid(f"{at}.name", device.name, "must not already exist in volumeMounts")
        if not device.device_path:
            causes.required(f"{at}.devicePath")
        elif device.device_path in paths:
            causes.invalid(f"{at}.devicePath", device.device_path, "must be unique")
        elif device.device_path in folders:
            causes.invalid(f"{at}.devicePath", device.device_path, "must not already exist as a path in volumeMounts")
        elif ".." in device.device_path.split("/"):
            causes.invalid(f"{at}.devicePath", device.device_path, "must not contain '..'")
        names.add(device.name)
        paths.add(device.device_path)
