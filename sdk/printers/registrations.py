"""The cells of APIServices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.apiregistration import v1 as apiregistration


def api_service(obj: apiregistration.APIService, now: datetime) -> Sequence[str]:
    service = obj.spec.service
    where = f"{service.namespace}/{service.name}" if obj.spec.HasField("service") else "Local"
    return obj.metadata.name, where, _available(obj), times.age(obj.metadata.creation_timestamp, now=now)


def _available(obj: apiregistration.APIService) -> str:
    for one in obj.status.conditions:
        if one.type == "Available":
            return one.status if one.status == "True" or not one.reason else f"{one.status} ({one.reason})"
    return "Unknown"
