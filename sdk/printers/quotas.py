"""The cells of resource quotas and limit ranges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.core import v1 as core


def resource_quota(obj: core.ResourceQuota, now: datetime) -> Sequence[str]:
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(obj.status.hard):
        used = obj.status.used[name].string if name in obj.status.used else "0"
        (limits if name.startswith("limits.") else requests).append(f"{name}: {used}/{obj.status.hard[name].string}")
    age = times.age(obj.metadata.creation_timestamp, now=now)
    return obj.metadata.name, ", ".join(requests), ", ".join(limits), age


def limit_range(obj: core.LimitRange, now: datetime) -> Sequence[str]:
    created = obj.metadata.creation_timestamp
    return obj.metadata.name, "<unknown>" if times.is_zero(created) else times.format_seconds(created.seconds)
