"""The cells of custom resources: what stands at the columns' paths."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from raftsman import times
from raftsman.meta import v1 as meta

from . import paths

NONE = "<none>"


def cell(column: Any, tree: Any, now: datetime) -> str:
    """One cell, as `kubectl get` prints it. `column` has `type` and `json_path`."""
    found = paths.find(column.json_path, tree) if column.json_path else []
    if not found or found[0] is None:
        return NONE if column.type != "date" else "<unknown>"
    if column.type == "date":
        return _age(found[0], now)
    return ",".join(paths.text(value) for value in found)


def _age(value: Any, now: datetime) -> str:
    try:
        seconds, _ = times.parse_rfc3339(str(value))
    except ValueError:
        return "<invalid>"
    return times.age(meta.Time(seconds=seconds), now=now)
