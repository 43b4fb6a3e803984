"""What a container left to say: its termination message file, or the end of its log. Blocking, a few kilobytes."""

from __future__ import annotations

import os
from pathlib import Path

from raftsman.agents.node.runtime import Container
from raftsman.core import v1 as core

MESSAGE_MAX = 4096
LOG_BYTES_MAX = 2048
LOG_LINES_MAX = 80
_READ_MAX = 64 * 1024


def message_of(spec: core.Container, run: Container, path: Path) -> str:
    """By terminationMessagePolicy; "" if there is nothing."""
    text = _head(path)
    if text or spec.termination_message_policy != "FallbackToLogsOnError":
        return text
    if run.exit is None or run.exit.code == 0:
        return ""
    return _log_tail(run.log_path)


def _head(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MESSAGE_MAX).decode(errors="replace").rstrip("\n")


def _log_tail(path: Path) -> str:
    """The last lines of a log in CRI format, without their prefixes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _READ_MAX))
            data = file.read()
    except OSError:
        return ""
    lines = data.decode(errors="replace").splitlines()[-LOG_LINES_MAX:]
    texts = [line.split(" ", 3)[-1] for line in lines]
    return "\n".join(texts)[-LOG_BYTES_MAX:]
