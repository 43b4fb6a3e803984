"""What is kept of a container's past runs: the logs and messages of the newest KEPT. Blocking."""

from __future__ import annotations

from pathlib import Path

from raftsman.agents.node.settings import Settings

from . import specs

KEPT = 2
"""The run that is on and the one before it, which `logs --previous` shows."""


def prune(settings: Settings, uid: str, name: str, attempt: int) -> None:
    """Remove files of runs that are KEPT or more before `attempt`."""
    for folder in (specs.log_path(settings, uid, name, 0).parent, specs.message_path(settings, uid, name, 0).parent):
        for path in folder.iterdir() if folder.is_dir() else ():
            if _attempt_of(path) <= attempt - KEPT:
                path.unlink(missing_ok=True)


def _attempt_of(path: Path) -> float:
    """The run that a file belongs to: 3, 3.log and 3.log.<time of rotation> are of run 3."""
    number = path.name.partition(".")[0]
    return int(number) if number.isdigit() else float("inf")
