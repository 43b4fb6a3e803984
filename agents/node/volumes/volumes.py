"""All volumes of all pods of this node: `prepare` before a pod's containers, `refresh` as what they show changes,
`remove` at the end.

emptyDir is a directory under the pod's, or a tmpfs of its own; secrets, tokens and whatever is projected with them are
on a tmpfs that all pods share, so that they never reach a disk; configMap and downwardAPI are on disk. Unsupported
kinds are refused by name. File work runs in threads.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from raftsman import errors, quantity
from raftsman.agents.node import fields
from raftsman.agents.node.references import ReferenceFault, References
from raftsman.agents.node.settings import Settings
from raftsman.core import v1 as core

from . import atomic, content, host_path, mounting, size_limit
from .content import VolumeFault
from .tokens import Tokens
from .volume_path import VolumePath

SHOWN = frozenset({"config_map", "secret", "downward_api", "projected"})
IN_MEMORY = frozenset({"secret", "projected"})
SUPPORTED = SHOWN | {"empty_dir", "host_path"}


class Volumes:
    """Makes volumes; remembers nothing but which pods have some."""

    def __init__(self, settings: Settings, references: References, tokens: Tokens, *, node: fields.Facts) -> None:
        self._settings = settings
        self._references = references
        self._tokens = tokens
        self._node = node
        self._pods: set[str] = set()

    async def start(self) -> None:
        """Make the memory file system that secrets live on."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        root = self._settings.memory_dir
        root.mkdir(parents=True, exist_ok=True)
        if not mounting.is_mounted(root):
            mounting.mount_tmpfs(root, mode=0o700, executable=False)
        memory = [path.name for path in root.iterdir()]
        disk = self._settings.data_dir / "pods"
        disk.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._pods.update([*memory, *(path.name for path in disk.iterdir())])

    def has(self, uid: str) -> bool:
        """Whether anything of the pod may be left."""
        return uid in self._pods

    def pods(self) -> frozenset[str]:
        """Pods that may have volumes here, from before this agent's start too."""
        return frozenset(self._pods)

    def paths(self, pod: core.Pod) -> Mapping[str, VolumePath]:
        """Where each volume of `pod` is once it has been prepared."""
        return {volume.name: self._path(pod, volume) for volume in pod.spec.volumes}

    async def prepare(self, pod: core.Pod) -> None:
        """Make every volume ready; VolumeFault says which cannot be. Idempotent."""
        for volume in pod.spec.volumes:
            check_supported(volume)
        self._pods.add(pod.metadata.uid)
        try:
            await asyncio.gather(self._references.acquire(pod), self._tokens.acquire(pod))
        except ReferenceFault as fault:
            raise VolumeFault(str(fault)) from None
        except errors.ApiError as error:
            raise VolumeFault(f"failed to fetch token: {error.message}") from None
        await self._write(pod, pod.spec.volumes)

    async def refresh(self, pod: core.Pod) -> None:
        """Bring what configMap, secret, downwardAPI and projected volumes show up to date."""
        try:
            await self._tokens.acquire(pod)
        except errors.ApiError as error:
            raise VolumeFault(f"failed to renew token: {error.message}") from None
        await self._write(pod, [v for v in pod.spec.volumes if _kind(v) in SHOWN])

    def refresh_at(self, uid: str) -> datetime | None:
        """When `refresh` is due although nothing was told to have changed."""
        return self._tokens.renew_at(uid)

    async def excess(self, pod: core.Pod) -> str | None:
        """A sentence if a volume has outgrown its limit; see `size_limit`."""
        return await asyncio.to_thread(size_limit.excess, size_limit.limited(pod), self.paths(pod))

    def config_map(self, pod: core.Pod, name: str) -> core.ConfigMap | None:
        """As last seen; only of a pod that has been prepared."""
        return self._references.get(core.ConfigMap, pod.metadata.namespace, name)

    def secret(self, pod: core.Pod, name: str) -> core.Secret | None:
        """As last seen; only of a pod that has been prepared."""
        return self._references.get(core.Secret, pod.metadata.namespace, name)

    async def remove(self, uid: str) -> None:
        """Unmount and delete everything of the pod but its logs and messages."""
        self._references.release(uid)
        self._tokens.release(uid)
        await asyncio.to_thread(self._remove, uid)
        self._pods.discard(uid)

    async def _write(self, pod: core.Pod, volumes: object) -> None:
        objects = self._objects(pod)
        steps = []
        for volume in volumes:  # type: ignore[attr-defined]
            files = content.payload(pod, volume, objects) if _kind(volume) in SHOWN else None
            steps.append((volume, files))
        if steps:
            await asyncio.to_thread(self._make, pod, steps)

    def _objects(self, pod: core.Pod) -> content.Objects:
        return content.Objects(
            config_map=functools.partial(self.config_map, pod),
            secret=functools.partial(self.secret, pod),
            token=functools.partial(self._tokens.get, pod.metadata.uid),
            facts=self._node,
        )

    def _make(self, pod: core.Pod, steps: list[tuple[core.Volume, dict[str, atomic.File] | None]]) -> None:
        context = pod.spec.security_context
        group = int(context.fs_group) if context.HasField("fs_group") else None
        for volume, files in steps:
            path = self._path(pod, volume).path
            try:
                if files is not None:
                    atomic.write(path, files, group=group)
                elif _kind(volume) == "empty_dir":
                    _make_empty(path, volume.volume_source.empty_dir, group)
                else:
                    host_path.check(volume.name, volume.volume_source.host_path)
            except (OSError, ValueError) as error:
                raise VolumeFault(f'MountVolume.SetUp failed for volume "{volume.name}": {error}') from None

    def _path(self, pod: core.Pod, volume: core.Volume) -> VolumePath:
        kind, uid = _kind(volume), pod.metadata.uid
        if kind == "host_path":
            return VolumePath(Path(volume.volume_source.host_path.path))
        memory = kind in IN_MEMORY or volume.volume_source.empty_dir.medium == "Memory"
        root = self._settings.pod_memory_dir(uid) if memory else self._settings.pod_dir(uid) / "volumes"
        return VolumePath(root / kind / volume.name, read_only=kind in SHOWN)

    def _remove(self, uid: str) -> None:
        memory, disk = self._settings.pod_memory_dir(uid), self._settings.pod_dir(uid) / "volumes"
        for root in (memory, disk):
            if root.exists():
                for path in mounting.mounted_below(root):
                    mounting.unmount(path)
                shutil.rmtree(root, ignore_errors=True)


def _kind(volume: core.Volume) -> str:
    """The name of the source's field, such as config_map."""
    for descriptor, _ in volume.volume_source.ListFields():
        return str(descriptor.name)
    return "empty_dir"


def check_supported(volume: core.Volume) -> None:
    """VolumeFault, by name, for a kind of volume that this node cannot provide."""
    kind = _kind(volume)
    if kind not in SUPPORTED:
        raise VolumeFault(f'volume "{volume.name}": {kind.replace("_", " ")} volumes are not supported by this node')
    if kind == "empty_dir" and volume.volume_source.empty_dir.medium not in ("", "Memory"):
        medium = volume.volume_source.empty_dir.medium
        raise VolumeFault(f'volume "{volume.name}": emptyDir medium {medium!r} is not supported: use "" or "Memory"')


def _make_empty(path: Path, source: core.EmptyDirVolumeSource, group: int | None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if source.medium == "Memory" and not mounting.is_mounted(path):
        size = quantity.to_int(source.size_limit.string) if source.size_limit.string else None
        mounting.mount_tmpfs(path, size_bytes=size)
    os.chmod(path, 0o777)  # noqa: S103 - any user of the pod writes to an emptyDir
    if group is not None:
        os.chown(path, -1, group)
        os.chmod(path, 0o2777)  # noqa: S103
