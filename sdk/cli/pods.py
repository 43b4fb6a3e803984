"""Finding the pod and the container that `logs` and `exec` mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftsman import selectors
from raftsman.core import v1 as core

from . import targets
from .session import Session
from .targets import Target
from .verb import Failure

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def of_target(session: Session, target: Target) -> tuple[core.Pod, int]:
    """The pod of `TYPE/NAME`, and of how many it was chosen: a running and ready one if there is one."""
    obj = (await targets.fetched(session, target))[0]
    if target.resource.message is core.Pod:
        return obj, 1
    selector = selector_of(obj)
    if selector is None:
        raise Failure(f"cannot find the pods of {target}: it selects none")
    found = list((await session.client.list(core.Pod, namespace=target.namespace, label_selector=selector)).items)
    if not found:
        raise Failure(f"no pods of {target} were found")
    return min(found, key=_preference), len(found)


def selector_of(obj: Any) -> str | None:
    """The label selector of what selects pods, as text; None for what does not."""
    spec = getattr(obj, "spec", None)
    selector = getattr(spec, "selector", None)
    if selector is None:
        return None
    if hasattr(selector, "match_labels"):
        return str(selectors.from_label_selector(selector)) or None
    return str(selectors.from_mapping(dict(selector))) or None


def _preference(pod: core.Pod) -> tuple[bool, bool, bool, int]:
    ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
    leaving = pod.metadata.HasField("deletion_timestamp")
    return (not pod.spec.node_name, pod.status.phase != "Running" or leaving, not ready,
            -pod.metadata.creation_timestamp.seconds)  # fmt: skip


def container_names(pod: core.Pod) -> list[str]:
    ephemeral = [one.ephemeral_container_common.name for one in pod.spec.ephemeral_containers]
    return [*(c.name for c in [*pod.spec.init_containers, *pod.spec.containers]), *ephemeral]


def container_of(session: Session, pod: core.Pod, wanted: str) -> str:
    """The container meant: the one asked for, the annotated one, or the first (which is then said)."""
    names = container_names(pod)
    if wanted:
        if wanted not in names:
            raise Failure(f"container {wanted} is not valid for pod {pod.metadata.name} out of: {', '.join(names)}")
        return wanted
    annotated = pod.metadata.annotations.get(DEFAULT_CONTAINER, "")
    if annotated in names:
        return annotated
    if not pod.spec.containers:
        raise Failure(f"pod {pod.metadata.name} has no containers")
    first: str = pod.spec.containers[0].name
    if len(names) > 1:
        session.note(f'Defaulted container "{first}" out of: {_listed(pod)}')
    return first


def _listed(pod: core.Pod) -> str:
    inits: Sequence[str] = [f"{c.name} (init)" for c in pod.spec.init_containers]
    return ", ".join([*(c.name for c in pod.spec.containers), *inits])
