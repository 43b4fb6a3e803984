"""Runtime classes."""

from __future__ import annotations

from raftsman.node import v1 as node

from . import metadata, names, pods, resources
from .causes import Causes


def runtime_class(found: node.RuntimeClass, causes: Causes) -> None:
    """What runs the pods, what it costs, and where it is."""
    for wrong in names.dns_label(found.handler):
        causes.invalid("handler", found.handler, wrong)
    resources.amounts(found.overhead.pod_fixed, causes, path="overhead.podFixed", container=True)
    metadata.labels(found.scheduling.node_selector, causes, path="scheduling.nodeSelector")
    pods.tolerations(found.scheduling.tolerations, causes, path="scheduling.tolerations")


def runtime_class_update(new: node.RuntimeClass, old: node.RuntimeClass, causes: Causes) -> None:
    """The handler stays."""
    if new.handler != old.handler:
        causes.changed("handler", new.handler)
    runtime_class(new, causes)
