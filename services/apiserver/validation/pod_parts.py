"""The parts of a pod that are changed on their own: its ephemeral containers, and the resources of its containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from raftsman import quantity
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.defaulting import pods as defaults

from . import containers, resources
from .causes import Causes

# What an ephemeral container may not have: name in Python, in JSON.
_NOT_EPHEMERAL = (
    ("ports", "ports"), ("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe"),
    ("startup_probe", "startupProbe"), ("lifecycle", "lifecycle"), ("resources", "resources"),
    ("resize_policy", "resizePolicy"), ("restart_policy", "restartPolicy"),
    ("restart_policy_rules", "restartPolicyRules"),
)  # fmt: skip
_RESIZED = ("cpu", "memory")


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


def take_resources(changed: core.Pod, sent: core.Pod) -> None:
    """The resources that were sent, if they are of the same containers; everything else stays."""
    for ours, theirs in (
        (changed.spec.containers, sent.spec.containers), (changed.spec.init_containers, sent.spec.init_containers),
    ):  # fmt: skip
        if [one.name for one in ours] != [one.name for one in theirs]:
            continue
        for one, other in zip(ours, theirs, strict=True):
            one.resources.CopyFrom(other.resources)
            defaults.container(one)


def resized(new: core.Pod, old: core.Pod, causes: Causes) -> None:
    """Processor time and memory may change, the class of service may not."""
    if old.status.phase in ("Succeeded", "Failed"):
        causes.forbidden("spec", f"the pod has ended: its phase is {old.status.phase}")
    for path, container, before in _pairs(new.spec, old.spec):
        resources.requirements(container.resources, causes, path=path)
        _only_two(container.resources, before.resources, causes, path=path)
    if not causes and defaults.quality(new.spec) != defaults.quality(old.spec):
        causes.invalid("spec", defaults.quality(new.spec), "Pod QOS Class may not change as a result of resizing")


def _pairs(new: core.PodSpec, old: core.PodSpec) -> Iterator[tuple[str, core.Container, core.Container]]:
    for word, ours, theirs in (
        ("containers", new.containers, old.containers), ("initContainers", new.init_containers, old.init_containers),
    ):  # fmt: skip
        for index, (one, before) in enumerate(zip(ours, theirs, strict=True)):
            if one.resources != before.resources:
                yield f"spec.{word}[{index}].resources", one, before


def _only_two(new: core.ResourceRequirements, old: core.ResourceRequirements, causes: Causes, *, path: str) -> None:
    for word, ours, theirs in (("requests", new.requests, old.requests), ("limits", new.limits, old.limits)):
        for name in sorted({*ours, *theirs}):
            if name not in _RESIZED:
                if not _same(ours, theirs, name):
                    causes.forbidden(f"{path}.{word}[{name}]", "only cpu and memory resources are mutable")
            elif name in theirs and name not in ours:
                causes.forbidden(f"{path}.{word}[{name}]", f"resource {word} cannot be removed")


def _same(ours: Mapping[str, meta.Quantity], theirs: Mapping[str, meta.Quantity], name: str) -> bool:
    if name not in ours or name not in theirs:
        return False
    return quantity.to_milli(ours[name].string) == quantity.to_milli(theirs[name].string)
