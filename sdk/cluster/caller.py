"""The context `raftsman` in the kubeconfig of whoever called `up` (the caller behind sudo too).

The current context is taken only if there is none; nothing else in the file is touched.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import yaml

from .layout import Layout

NAME = "raftsman"


def add_context(layout: Layout) -> None:
    """Point cluster, user and context `raftsman` at this cluster."""
    path, uid, gid = _file()
    config = _read(path)
    admin = yaml.safe_load(layout.kubeconfig().read_text())
    before = yaml.safe_dump(config)
    _put(config, "clusters", {"name": NAME, "cluster": admin["clusters"][0]["cluster"]})
    _put(config, "users", {"name": NAME, "user": admin["users"][0]["user"]})
    _put(config, "contexts", {"name": NAME, "context": {"cluster": NAME, "user": NAME}})
    if not config.get("current-context"):
        config["current-context"] = NAME
    if yaml.safe_dump(config) != before:
        _write(path, config, uid, gid)


def own(path: Path) -> None:
    """Give a file to the caller."""
    _, uid, gid = _file()
    os.chown(path, uid, gid)


def remove_context(layout: Layout) -> None:
    """Take the context out again if it is this cluster's."""
    path, uid, gid = _file()
    if not path.exists() or not layout.kubeconfig().exists():
        return
    config = _read(path)
    admin = yaml.safe_load(layout.kubeconfig().read_text())
    mine = next((c for c in config.get("clusters") or [] if c.get("name") == NAME), None)
    if mine is None or mine.get("cluster") != admin["clusters"][0]["cluster"]:
        return
    for section in ("clusters", "users", "contexts"):
        config[section] = [entry for entry in config.get(section) or [] if entry.get("name") != NAME]
    if config.get("current-context") == NAME:
        config["current-context"] = ""
    _write(path, config, uid, gid)


def _file() -> tuple[Path, int, int]:
    """The caller's kubeconfig and who owns it."""
    sudo = os.environ.get("SUDO_USER")
    if sudo and sudo != "root":
        entry = pwd.getpwnam(sudo)
        return Path(entry.pw_dir) / ".kube/config", entry.pw_uid, entry.pw_gid
    home = Path(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)
    return home / ".kube/config", os.getuid(), os.getgid()


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"apiVersion": "v1", "kind": "Config"}
    loaded = yaml.safe_load(path.read_text())
    return loaded if isinstance(loaded, dict) else {"apiVersion": "v1", "kind": "Config"}


def _put(config: dict[str, Any], section: str, entry: dict[str, Any]) -> None:
    others = [one for one in config.get(section) or [] if one.get("name") != entry["name"]]
    config[section] = [*others, entry]


def _write(path: Path, config: dict[str, Any], uid: int, gid: int) -> None:
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
        os.chown(path.parent, uid, gid)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        yaml.safe_dump(config, out, sort_keys=False)
    os.chown(scratch, uid, gid)
    os.replace(scratch, path)
