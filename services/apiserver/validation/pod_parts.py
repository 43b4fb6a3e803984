"""The parts of a pod that are changed on their own: its ephemeral containers."""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.services.apiserver.defaulting import pods as defaults

from . import containers
from .causes import Causes

# What an ephemeral container may not have: name in Python, in JSON.
_NOT_EPHEMERAL = (
    ("ports", "ports"), ("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe"),
    ("startup_probe", "startupProbe"), ("lifecycle", "lifecycle"), ("resources", "resources"),
    ("resize_policy", "resizePolicy"), ("restart_policy", "restartPolicy"),
    ("restart_policy_rules", "restartPolicyRules"),
)  # fmt: skip


def take_ephemeral(changed: core.Pod, sent: core.Pod) -> None:
    """The ephemeral containers that were sent, with their defaults."""
    del changed.spec.ephemeral_containers[:]
    for one in sent.spec.ephemeral_containers:
        container = core.Container.FromString(one.ephemeral_container_common.SerializeToString())
        # Defaults of what it may not have would only hide who said it.
        if not any(_has(container, name) for name, _ in _NOT_EPHEMERAL):
            defaults.container(container)
            container.ClearField("resources")
        kept = changed.spec.ephemeral_containers.add(target_container_name=one.target_container_name or None)
        kept.ephemeral_container_common.MergeFromString(container.SerializeToString())


def ephemeral(new: core.Pod, old: core.Pod, causes: Causes) -> None:
    """They may only be added, and are less than containers."""
    before = {one.ephemeral_container_common.name: one for one in old.spec.ephemeral_containers}
    there = [one.ephemeral_container_common.name for one in new.spec.ephemeral_containers]
    for name in before:
        if name not in there:
            causes.forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed')
    taken = {one.name for one in (*new.spec.containers, *new.spec.init_containers)}
    for index, one in enumerate(new.spec.ephemeral_containers):
        path, name = f"spec.ephemeralContainers[{index}]", one.ephemeral_container_common.name
        if name in taken:
            causes.duplicate(f"{path}.name", name)
        taken.add(name)
        if name not in before:
            _new(one, new.spec, causes, path=path)
        elif one != before[name]:
            causes.forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be changed')


def _new(found: core.EphemeralContainer, spec: core.PodSpec, causes: Causes, *, path: str) -> None:
    container = core.Container.FromString(found.ephemeral_container_common.SerializeToString())
    for field, word in _NOT_EPHEMERAL:
        if _has(container, field):
            causes.forbidden(f"{path}.{word}", "cannot be set for an Ephemeral Container")
            container.ClearField(field)  # type: ignore[arg-type]
    for index, mount in enumerate(container.volume_mounts):
        for value, word in ((mount.sub_path, "subPath"), (mount.sub_path_expr, "subPathExpr")):
            if value:
                at = f"{path}.volumeMounts[{index}].{word}"
                causes.forbidden(at, "cannot be set for an Ephemeral Container")
    containers.one(container, causes, path=path, spec=spec, init=False)
    target = found.target_container_name
    if target and target not in {one.name for one in spec.containers}:
        causes.not_found(f"{path}.targetContainerName", target)


def _has(container: core.Container, field: str) -> bool:
    value = getattr(container, field)
    if field == "resources":
        return bool(value.requests or value.limits or value.claims)
    return len(value) > 0 if hasattr(value, "add") else container.HasField(field)  # type: ignore[arg-type]
