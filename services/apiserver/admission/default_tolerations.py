"""DefaultTolerationSeconds: a pod outlives short failures of its node, unless it says otherwise."""

from __future__ import annotations

from raftsman.core import v1 as core

from .attributes import WRITES, Attributes, Plugin

NODE_FAILURE_TOLERATION_S = 300
_FAILURES = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


async def _admit(attributes: Attributes) -> None:
    pod: core.Pod = attributes.new
    for key in _FAILURES:
        if not any(_covers(one, key) for one in pod.spec.tolerations):
            pod.spec.tolerations.add(
                key=key, operator="Exists", effect="NoExecute", toleration_seconds=NODE_FAILURE_TOLERATION_S
            )


def _covers(toleration: core.Toleration, key: str) -> bool:
    return toleration.key in ("", key) and toleration.effect in ("", "NoExecute")


PLUGIN = Plugin("DefaultTolerationSeconds", WRITES, kinds=frozenset({"pods"}), mutate=_admit)
