"""`apply --prune`: delete what an earlier apply made and the manifests no longer have.

Looked for among the kinds of the allowlist, in the namespaces that this apply has touched (and among kinds without
namespaces), by the selector; only objects that `apply` has annotated, and none that this apply has written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from raftsman import errors, resources
from raftsman.resources import Resource

from . import failure
from .session import Session
from .targets import Target
from .verb import Failure

KINDS = (
    ("v1", "ConfigMap"), ("v1", "Endpoints"), ("v1", "Namespace"), ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"), ("v1", "Pod"), ("v1", "ReplicationController"), ("v1", "Secret"), ("v1", "Service"),
    ("batch/v1", "Job"), ("batch/v1", "CronJob"), ("networking.k8s.io/v1", "Ingress"), ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"),
)  # fmt: skip


def check(selector: str, allowlist: Sequence[str], *, every: bool, server_side: bool) -> tuple[Resource, ...]:
    """The kinds to look at; a Failure if it is not said what may go."""
    if server_side:
        raise Failure("--prune does not go with --server-side: what the server merges carries no annotation to go by")
    if bool(selector) == every:
        raise Failure(
            "cannot set --all and --selector at the same time" if every else
            "all resources selected for prune without explicitly passing --all: give --selector, or --all"
        )  # fmt: skip
    wanted = [_named(word) for word in allowlist] or KINDS
    found = [(kind, resources.by_kind(*kind)) for kind in wanted]
    for (api_version, name), resource in found:
        if allowlist and (resource is None or not resource.service):
            raise Failure(f'--prune-allowlist: no matches for kind "{name}" in version "{api_version}"')
    return tuple(resource for _, resource in found if resource is not None and resource.service)


def _named(word: str) -> tuple[str, str]:
    """(apiVersion, kind) of `core/v1/ConfigMap` or `apps/v1/Deployment`."""
    parts = word.split("/")
    if len(parts) != 3 or not all(parts):
        raise Failure(f"--prune-allowlist {word}: it is GROUP/VERSION/KIND, with core for the group without a name")
    group, version, kind = parts
    return (version if group == "core" else f"{group}/{version}"), kind


async def prune(
    session: Session, kinds: Sequence[Resource], written: Sequence[tuple[Resource, Any]], selector: str, *,
    annotation: str, suffix: str, dry_run: str,
) -> None:  # fmt: skip
    """Delete what is left over; `written` is what this apply has made or kept."""
    kept = {obj.metadata.uid for _, obj in written}
    namespaces = {obj.metadata.namespace for resource, obj in written if resource.namespaced}
    for resource in kinds:
        for namespace in sorted(namespaces) if resource.namespaced else ("",):
            await _prune(session, resource, namespace, selector, kept, (annotation, suffix, dry_run))


async def _prune(
    session: Session,
    resource: Resource,
    namespace: str,
    selector: str,
    kept: Collection[str],
    how: tuple[str, str, str],
) -> None:
    annotation, suffix, dry_run = how
    found = await session.client.list(resource.message, namespace=namespace, label_selector=selector)
    for obj in found.items:
        metadata = obj.metadata
        if metadata.uid in kept or annotation not in metadata.annotations or metadata.HasField("deletion_timestamp"):
            continue
        try:
            if dry_run != "client":
                await session.client.delete(
                    resource.message, metadata.name, namespace=metadata.namespace, uid=metadata.uid,
                    propagation="Background", dry_run=dry_run == "server",
                )  # fmt: skip
            session.say(f"{Target(resource, metadata.name)} pruned{suffix}")
        except errors.NotFound:
            continue
        except errors.ApiError as error:
            session.fail(failure.text(error))
