"""One declaration per served kind: its rules of names, defaults, validation, updates and selectable fields.

A module for each family of kinds; `table()` joins them.
"""

from __future__ import annotations

from raftsman.services.apiserver.kinds import Kind

from . import cluster, core, extension, networking, rbac, reviews, storage, workloads


def table() -> dict[str, Kind]:
    """Every served kind by its qualified name."""
    families = (core, workloads, networking, rbac, cluster, storage, extension, reviews)
    return {kind.resource.qualified: kind for family in families for kind in family.kinds()}


def views(kinds: dict[str, Kind]) -> tuple[Kind, ...]:
    """The versions that are stored as another one."""
    return workloads.autoscaler_v1(kinds), core.event_v1(kinds)
