"""Versions of a kind that are stored as another version: one file for each, with both ways.

`stored(events.Event(...))` is the same as a `core.Event`. What the stored version has beyond the other stands in
annotations of the other, as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftsman.autoscaling import v1 as autoscaling_v1
from raftsman.events import v1 as events_v1

from . import autoscaling, events

__all__ = ["stored"]

_TO_STORED: dict[type[Any], Callable[[Any], Any]] = {
    autoscaling_v1.HorizontalPodAutoscaler: autoscaling.to_stored,
    events_v1.Event: events.to_stored,
}


def stored(obj: Any) -> Any:
    """An object in the version that is stored; itself if it is in that."""
    convert = _TO_STORED.get(type(obj))
    return obj if convert is None else convert(obj)
