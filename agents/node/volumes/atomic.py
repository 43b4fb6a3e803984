"""Write a set of files so that readers see all of the old or all of the new: the symlink scheme of Kubernetes.

    volume/
      ..2026_11_23_00_50_10.4f1c/   the files, with their directories
      ..data -> ..2026_11_23_00_50_10.4f1c     replaced by one rename
      key    -> ..data/key                     one link for each top-level name

Blocking: call it in a thread. Nothing is written when nothing changed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATA = "..data"
_NEXT = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """One file's content and permissions."""

    data: bytes
    mode: int = 0o644


Payload = Mapping[str, File]
"""By path relative to the volume."""


def write(volume: Path, payload: Payload, *, group: int | None = None) -> bool:
    """Make `volume` show exactly `payload`; False if it did already. `group`: the owner of files (fsGroup)."""
    for path in payload:
        _check(path)
    volume.mkdir(parents=True, exist_ok=True)
    volume.chmod(0o755)
    if _shows(volume, payload, group):
        return False
    stamp = time.strftime("..%Y_%m_%d_%H_%M_%S", time.gmtime())
    fresh = volume / f"{stamp}.{secrets.token_hex(4)}"
    _write_files(fresh, payload, group)
    old = _current(volume)
    link = volume / _NEXT
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(volume / DATA)
    _relink(volume, payload)
    if old is not None and old != fresh.name:
        shutil.rmtree(volume / old, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = Path(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ValueError(f"{path!r} is not a path inside a volume")


def _current(volume: Path) -> str | None:
    try:
        return os.readlink(volume / DATA)
    except OSError:
        return None


def _shows(volume: Path, payload: Payload, group: int | None) -> bool:
    old = _current(volume)
    if old is None:
        return False
    root = volume / old
    there = {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}
    if there != {str(Path(path)) for path in payload}:
        return False
    return all(_same(root / path, file, group) for path, file in payload.items()) and all(
        (volume / Path(path).parts[0]).is_symlink() for path in payload
    )


def _same(path: Path, file: File, group: int | None) -> bool:
    facts = path.stat()
    if facts.st_mode & 0o7777 != _mode(file, group) or (group is not None and facts.st_gid != group):
        return False
    return path.read_bytes() == file.data


def _mode(file: File, group: int | None) -> int:
    """With an fsGroup the group may read what the owner may read."""
    return file.mode | ((file.mode & 0o400) >> 3) if group is not None else file.mode


def _write_files(root: Path, payload: Payload, group: int | None) -> None:
    root.mkdir(mode=0o755)
    for path, file in payload.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
            os.fchmod(out.fileno(), _mode(file, group))
            if group is not None:
                os.fchown(out.fileno(), -1, group)


def _relink(volume: Path, payload: Payload) -> None:
    wanted = {Path(path).parts[0] for path in payload}
    for name in wanted:
        link = volume / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in volume.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
