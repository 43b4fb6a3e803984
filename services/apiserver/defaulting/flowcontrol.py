"""Default values of flow schemas and priority levels."""

from __future__ import annotations

from raftsman.flowcontrol import v1 as flowcontrol

PRECEDENCE = 1000
SHARES = 30
QUEUES, HAND_SIZE, QUEUE_LENGTH = 64, 8, 50


def schema(found: flowcontrol.FlowSchema) -> None:
    """In the middle of them all."""
    found.spec.matching_precedence = found.spec.matching_precedence or PRECEDENCE


def level(found: flowcontrol.PriorityLevelConfiguration) -> None:
    """Shares, and queues where there are any."""
    spec = found.spec
    if spec.HasField("exempt"):
        for field in ("nominal_concurrency_shares", "lendable_percent"):
            if not spec.exempt.HasField(field):
                setattr(spec.exempt, field, 0)
    if not spec.HasField("limited"):
        return
    limited = spec.limited
    if not limited.HasField("nominal_concurrency_shares"):
        limited.nominal_concurrency_shares = SHARES
    if not limited.HasField("lendable_percent"):
        limited.lendable_percent = 0
    if limited.limit_response.HasField("queuing"):
        queuing = limited.limit_response.queuing
        queuing.hand_size = queuing.hand_size or HAND_SIZE
        queuing.queues = queuing.queues or QUEUES
        queuing.queue_length_limit = queuing.queue_length_limit or QUEUE_LENGTH
