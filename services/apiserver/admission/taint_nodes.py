"""TaintNodesByCondition: a new node takes no pods until it was seen to be ready.

The node controller takes the taint away.
"""

from __future__ import annotations

from raftsman.core import v1 as core

from .attributes import CREATES, Attributes, Plugin

NOT_READY = "node.kubernetes.io/not-ready"
NO_SCHEDULE = "NoSchedule"


async def _admit(attributes: Attributes) -> None:
    node: core.Node = attributes.new
    if not any((taint.key, taint.effect) == (NOT_READY, NO_SCHEDULE) for taint in node.spec.taints):
        node.spec.taints.add(key=NOT_READY, effect=NO_SCHEDULE)


PLUGIN = Plugin("TaintNodesByCondition", CREATES, kinds=frozenset({"nodes"}), mutate=_admit)
