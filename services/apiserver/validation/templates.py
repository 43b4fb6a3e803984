"""Templates of pods, and the selectors that must find the pods made from them."""

from __future__ import annotations

from raftsman import errors, selectors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

from . import metadata, pods
from .causes import Causes

ALWAYS = ("Always",)


def template(found: core.PodTemplateSpec, causes: Causes, *, path: str) -> None:
    """What holds for the template of any workload."""
    metadata.labels(found.metadata.labels, causes, path=f"{path}.labels")
    metadata.annotated(found.metadata.annotations, causes, path=f"{path}.annotations")
    pods.spec(found.spec, causes, path=f"{path}.spec")
    if found.spec.ephemeral_containers:
        causes.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def lasting(found: core.PodTemplateSpec, causes: Causes, *, path: str, of: str) -> None:
    """A template whose pods are to run for ever."""
    template(found, causes, path=path)
    if found.spec.restart_policy in pods.RESTART_POLICIES and found.spec.restart_policy != "Always":
        causes.not_supported(f"{path}.spec.restartPolicy", found.spec.restart_policy, ALWAYS)
    if found.spec.HasField("active_deadline_seconds"):
        causes.forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {of} is not Supported")


def matching(selector: meta.LabelSelector, found: core.PodTemplateSpec, causes: Causes, *, path: str) -> None:
    """The selector finds what the template makes. One that cannot be read was told of before."""
    try:
        wanted = selectors.from_label_selector(selector)
    except errors.BadRequest:
        return
    if not wanted.matches(found.metadata.labels):
        causes.invalid(
            f"{path}.metadata.labels",
            dict(found.metadata.labels) or None,
            "`selector` does not match template `labels`",
        )


def is_empty(selector: meta.LabelSelector) -> bool:
    return not selector.match_labels and not selector.match_expressions
