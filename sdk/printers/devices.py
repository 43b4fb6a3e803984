"""The cells of resource.k8s.io."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.resource import v1 as resource


def claim(obj: resource.ResourceClaim, now: datetime) -> Sequence[str]:
    return obj.metadata.name, claim_state(obj), times.age(obj.metadata.creation_timestamp, now=now)


def claim_state(obj: resource.ResourceClaim) -> str:
    """`pending`, `allocated,reserved`, `deleted,allocated`."""
    deleted = obj.metadata.HasField("deletion_timestamp")
    states = ["deleted"] if deleted else []
    if obj.status.HasField("allocation"):
        states += ["allocated", "reserved"] if obj.status.reserved_for else ["allocated"]
    elif not deleted:
        states.append("pending")
    return ",".join(states)


def resource_slice(obj: resource.ResourceSlice, now: datetime) -> Sequence[str]:
    spec = obj.spec
    age = times.age(obj.metadata.creation_timestamp, now=now)
    return obj.metadata.name, spec.node_name, spec.driver, spec.pool.name, age
