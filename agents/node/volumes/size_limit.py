"""Disk volumes that have grown beyond what their pod allowed them. Blocking: walks the volumes' files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from raftsman import quantity
from raftsman.core import v1 as core

from .volume_path import VolumePath

ENTRIES_MAX = 1_000_000
_BLOCK = 512


def limited(pod: core.Pod) -> list[core.Volume]:
    """The pod's emptyDir volumes on disk that have a size limit; memory keeps its own."""
    return [
        volume
        for volume in pod.spec.volumes
        if volume.volume_source.empty_dir.size_limit.string and volume.volume_source.empty_dir.medium == ""
    ]


def excess(volumes: Iterable[core.Volume], paths: Mapping[str, VolumePath]) -> str | None:
    """A sentence about the first volume that is too large."""
    for volume in volumes:
        limit = volume.volume_source.empty_dir.size_limit.string
        if usage(paths[volume.name].path) > quantity.to_int(limit):
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}".'
    return None


def usage(root: Path) -> int:
    """Bytes that the files below `root` take, hard links counted once; at most ENTRIES_MAX entries are looked at."""
    total, seen, folders, entries = 0, set[tuple[int, int]](), [os.fspath(root)], 0
    while folders and entries < ENTRIES_MAX:
        try:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    entries += 1
                    facts = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif (facts.st_dev, facts.st_ino) not in seen:
                        seen.add((facts.st_dev, facts.st_ino))
                        total += facts.st_blocks * _BLOCK
        except FileNotFoundError:
            continue  # the pod removed it meanwhile
    return total
