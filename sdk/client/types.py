"""The small values that the client's verbs take and give."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from raftsman.meta import v1 as meta

T = TypeVar("T")


class EventType(enum.IntEnum):
    """What happened to a watched object. DELETED: gone, or no longer selected."""

    ADDED = meta.EVENT_TYPE_ADDED
    MODIFIED = meta.EVENT_TYPE_MODIFIED
    DELETED = meta.EVENT_TYPE_DELETED


class PatchType(enum.IntEnum):
    """JSON: RFC 6902. MERGE: RFC 7386. STRATEGIC: Kubernetes' merge by the keys of lists. APPLY: see `Client.apply`."""

    JSON = meta.PATCH_TYPE_JSON
    MERGE = meta.PATCH_TYPE_MERGE
    STRATEGIC = meta.PATCH_TYPE_STRATEGIC_MERGE
    APPLY = meta.PATCH_TYPE_APPLY


class Propagation(enum.StrEnum):
    """What becomes of what a deleted object owns."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One change seen by a watch. The object of DELETED is its last state."""

    type: EventType
    object: T


class PodBinding(NamedTuple):
    """One pod to be placed on one node. With `uid`, only if the pod is still that one."""

    namespace: str
    name: str
    node_name: str
    uid: str | None = None
