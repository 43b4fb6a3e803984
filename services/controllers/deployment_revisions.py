"""The ReplicaSets of a Deployment as its revisions: which one is the new one, what they are named and numbered. Pure.

A revision is a pod template. Its ReplicaSet is found by comparing templates, never by the hash in its name: the hash
only has to be stable and different, so it may be made another way than Kubernetes makes it. Going back to an old
template finds that template's ReplicaSet again and gives it the next number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import orjson
from raftsman import codec, metadata
from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

TEMPLATE_HASH = "pod-template-hash"
_PREFIX = "deployment.kubernetes.io/"
REVISION = f"{_PREFIX}revision"
HISTORY = f"{_PREFIX}revision-history"
DESIRED = f"{_PREFIX}desired-replicas"
MOST = f"{_PREFIX}max-replicas"
_OWN = (
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
)
HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks like one, so that a name never spells a word."""
HASH_LENGTH = 10
HISTORY_BYTES_MAX = 2000


def template_hash(template: core.PodTemplateSpec, collisions: int) -> str:
    """HASH_LENGTH letters; `collisions` gives another hash where a name was taken by something else."""
    digest = hashlib.sha256(_canonical(template) + collisions.to_bytes(4, "big")).digest()
    number = int.from_bytes(digest[:8], "big")
    letters = []
    for _ in range(HASH_LENGTH):
        number, index = divmod(number, len(HASH_LETTERS))
        letters.append(HASH_LETTERS[index])
    return "".join(letters)


def _canonical(template: core.PodTemplateSpec) -> bytes:
    """The template without its hash label, the same bytes for what users see as the same: its JSON, sorted."""
    copy = core.PodTemplateSpec()
    copy.CopyFrom(template)
    copy.metadata.labels.pop(TEMPLATE_HASH, None)
    return orjson.dumps(codec.to_json(copy), option=orjson.OPT_SORT_KEYS)


def age(replica_set: apps.ReplicaSet) -> tuple[int, str]:
    """Sorts the oldest first."""
    return replica_set.metadata.creation_timestamp.seconds, replica_set.metadata.name


def find_new(deployment: apps.Deployment, replica_sets: Iterable[apps.ReplicaSet]) -> apps.ReplicaSet | None:
    """The oldest ReplicaSet that has the Deployment's template now."""
    wanted = _canonical(deployment.spec.template)
    found = (rs for rs in replica_sets if _canonical(rs.spec.template) == wanted)
    return min(found, key=age, default=None)


def revision_of(obj: apps.Deployment | apps.ReplicaSet) -> int:
    """The number in the annotation; 0 if there is none."""
    text = obj.metadata.annotations.get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def next_revision(olds: Iterable[apps.ReplicaSet]) -> int:
    return max(map(revision_of, olds), default=0) + 1


def build(deployment: apps.Deployment, *, revision: int, replicas: int, most: int) -> apps.ReplicaSet:
    """The ReplicaSet of the Deployment's template, ready to be created."""
    letters = template_hash(deployment.spec.template, deployment.status.collision_count)
    new = apps.ReplicaSet()
    new.metadata.name = f"{deployment.metadata.name}-{letters}"
    new.metadata.namespace = deployment.metadata.namespace
    new.metadata.owner_references.append(metadata.owner_reference(deployment))
    new.spec.template.CopyFrom(deployment.spec.template)
    new.spec.template.metadata.labels[TEMPLATE_HASH] = letters
    new.metadata.labels.update(new.spec.template.metadata.labels)
    new.spec.selector.CopyFrom(deployment.spec.selector)
    new.spec.selector.match_labels[TEMPLATE_HASH] = letters
    new.spec.replicas = replicas
    new.spec.min_ready_seconds = deployment.spec.min_ready_seconds
    new.metadata.annotations.update(_inherited(deployment))
    new.metadata.annotations[REVISION] = str(revision)
    note_size(new, desired=desired(deployment), most=most)
    return new


def desired(deployment: apps.Deployment) -> int:
    return int(deployment.spec.replicas) if deployment.spec.HasField("replicas") else 1


def note_size(replica_set: apps.ReplicaSet, *, desired: int, most: int) -> None:
    """Write down for what numbers of the Deployment a size was set."""
    replica_set.metadata.annotations[DESIRED] = str(desired)
    replica_set.metadata.annotations[MOST] = str(most)


def noted(replica_set: apps.ReplicaSet, annotation: str) -> int | None:
    text = replica_set.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _inherited(deployment: apps.Deployment) -> dict[str, str]:
    return {key: value for key, value in deployment.metadata.annotations.items() if key not in _OWN}


def renew(replica_set: apps.ReplicaSet, deployment: apps.Deployment, *, revision: int) -> None:
    """Bring the new ReplicaSet up to date: annotations, readiness delay, and the next number if it was an old one."""
    annotations = replica_set.metadata.annotations
    annotations.update(_inherited(deployment))
    replica_set.spec.min_ready_seconds = deployment.spec.min_ready_seconds
    before = revision_of(replica_set)
    if before >= revision:
        return
    annotations[REVISION] = str(revision)
    if before:
        history = [*filter(None, annotations.get(HISTORY, "").split(",")), str(before)]
        while len(",".join(history)) > HISTORY_BYTES_MAX:
            del history[0]
        annotations[HISTORY] = ",".join(history)


def beyond_history(deployment: apps.Deployment, olds: Sequence[apps.ReplicaSet]) -> tuple[apps.ReplicaSet, ...]:
    """Old revisions that are no longer kept: the lowest numbers first, never one that has pods or is not up to date."""
    if not deployment.spec.HasField("revision_history_limit"):
        return ()
    standing = [rs for rs in olds if not metadata.is_deleting(rs)]
    excess = max(0, len(standing) - deployment.spec.revision_history_limit)
    oldest = sorted(standing, key=lambda rs: (revision_of(rs), age(rs)))[:excess]
    return tuple(rs for rs in oldest if _is_empty(rs))


def _is_empty(rs: apps.ReplicaSet) -> bool:
    stale = rs.status.observed_generation < rs.metadata.generation
    return not (rs.spec.replicas or rs.status.replicas or stale)
