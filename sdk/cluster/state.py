"""Which clusters run on this machine, by the records that their supervisors hold locked."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .layout import RUN_ROOT, Layout


@dataclass(frozen=True, slots=True)
class Running:
    """A supervisor that is alive: its process, network namespace (inode) and data directory."""

    pid: int
    netns: int
    data_dir: Path


def running(layout: Layout) -> Running | None:
    """The supervisor of this data directory, if it is alive."""
    return _read(layout.supervisor_file)


def running_in(netns: int) -> Running | None:
    """The cluster that runs in a network namespace."""
    found = (_read(path) for path in RUN_ROOT.glob("*/supervisor.json"))
    return next((one for one in found if one and one.netns == netns), None)


def _read(path: Path) -> Running | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor) as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = record.read()
        else:
            return None  # nobody holds it: left by a supervisor that is gone
    if not text:
        return None
    kept = json.loads(text)
    return Running(kept["pid"], kept["netns"], Path(kept["data_dir"]))
