"""The cells of signing requests, flow control and runtime classes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from raftsman import times
from raftsman.certificates import v1 as certificates
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.node import v1 as node

NONE = "<none>"


def signing_request(obj: certificates.CertificateSigningRequest, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        times.age(obj.metadata.creation_timestamp, now=now),
        spec.signer_name or NONE,
        spec.username,
        times.human_duration(spec.expiration_seconds) if spec.HasField("expiration_seconds") else NONE,
        signing_state(obj),
    )


def signing_state(obj: certificates.CertificateSigningRequest) -> str:
    """`Approved,Issued`."""
    types = {condition.type for condition in obj.status.conditions}
    words = ["Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"]
    if "Failed" in types:
        words.append("Failed")
    if obj.status.certificate:
        words.append("Issued")
    return ",".join(words)


def flow_schema(obj: flowcontrol.FlowSchema, now: datetime) -> Sequence[str]:
    spec = obj.spec
    return (
        obj.metadata.name,
        spec.priority_level_configuration.name,
        str(spec.matching_precedence),
        spec.distinguisher_method.type if spec.HasField("distinguisher_method") else NONE,
        times.age(obj.metadata.creation_timestamp, now=now),
        next((c.status for c in obj.status.conditions if c.type == "Dangling"), "?"),
    )


def priority_level(obj: flowcontrol.PriorityLevelConfiguration, now: datetime) -> Sequence[str]:
    shares = queues = hand = length = NONE
    if obj.spec.HasField("limited"):
        limited = obj.spec.limited
        shares = str(limited.nominal_concurrency_shares)
        if limited.limit_response.HasField("queuing"):
            queuing = limited.limit_response.queuing
            queues, hand, length = str(queuing.queues), str(queuing.hand_size), str(queuing.queue_length_limit)
    return (
        obj.metadata.name,
        obj.spec.type,
        shares,
        queues,
        hand,
        length,
        times.age(obj.metadata.creation_timestamp, now=now),
    )


def runtime_class(obj: node.RuntimeClass, now: datetime) -> Sequence[str]:
    return obj.metadata.name, obj.handler, times.age(obj.metadata.creation_timestamp, now=now)
