"""When an object goes: at once, after a grace period, or when its finalizers are gone. Pure decisions."""

from __future__ import annotations

import time
from typing import Any

from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage.objects import Change

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
POD_GRACE_S = 30
_TERMINAL = ("Succeeded", "Failed")


def finished(kind: Kind, obj: Any) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    metadata: meta.ObjectMeta = obj.metadata
    if not metadata.HasField("deletion_timestamp") or metadata.finalizers:
        return False
    if isinstance(obj, core.Namespace) and obj.spec.finalizers:
        return False
    return not metadata.deletion_grace_period_seconds


def deleted(kind: Kind, obj: Any, options: meta.DeleteOptions, *, now: float | None = None) -> Change:
    """What a delete makes of `obj` (which may be changed): removed, or marked. errors.Conflict on a precondition."""
    _preconditions(kind, obj.metadata, options)
    _propagation(obj.metadata, options)
    if not obj.metadata.HasField("deletion_timestamp"):
        kind.prepare_delete(obj)
    grace = _grace(obj, options)
    now = time.time() if now is None else now
    if obj.metadata.HasField("deletion_timestamp"):
        _shorten(obj.metadata, grace)
    elif grace or obj.metadata.finalizers or (isinstance(obj, core.Namespace) and obj.spec.finalizers):
        _mark(obj, now=now, grace=grace)
    else:
        return Change(obj, remove=True)
    return Change(obj, remove=finished(kind, obj))


def _preconditions(kind: Kind, metadata: meta.ObjectMeta, options: meta.DeleteOptions) -> None:
    wanted = options.preconditions
    if wanted.uid and wanted.uid != metadata.uid:
        why = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {metadata.uid}"
        raise failures.conflict(kind.resource, metadata.name, why)
    if wanted.resource_version and wanted.resource_version != metadata.resource_version:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {wanted.resource_version}, "
            f"ResourceVersion in object meta: {metadata.resource_version}"
        )
        raise failures.conflict(kind.resource, metadata.name, why)


def _propagation(metadata: meta.ObjectMeta, options: meta.DeleteOptions) -> None:
    """Orphan and Foreground leave a finalizer for the garbage collector, each removing the other's."""
    policy = options.propagation_policy
    if options.HasField("orphan_dependents") and not policy:
        policy = "Orphan" if options.orphan_dependents else "Background"
    if not policy:
        return
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(policy)
    kept = [one for one in metadata.finalizers if one not in (ORPHAN, FOREGROUND)]
    metadata.ClearField("finalizers")
    metadata.finalizers.extend([*kept, wanted] if wanted else kept)


def _grace(obj: Any, options: meta.DeleteOptions) -> int:
    """Seconds. Only pods that run somewhere get any."""
    if not isinstance(obj, core.Pod) or not obj.spec.node_name or obj.status.phase in _TERMINAL:
        return 0
    if options.HasField("grace_period_seconds"):
        return max(0, options.grace_period_seconds)
    if obj.spec.HasField("termination_grace_period_seconds"):
        return max(0, obj.spec.termination_grace_period_seconds)
    return POD_GRACE_S


def _shorten(metadata: meta.ObjectMeta, grace: int) -> None:
    """A second delete may only bring the end nearer."""
    before = metadata.deletion_grace_period_seconds
    if grace < before:
        metadata.deletion_timestamp.seconds += grace - before
        metadata.deletion_grace_period_seconds = grace


def _mark(obj: Any, *, now: float, grace: int) -> None:
    metadata = obj.metadata
    metadata.deletion_timestamp.CopyFrom(meta.Time(seconds=int(now) + grace))
    metadata.deletion_grace_period_seconds = grace
    if metadata.generation:
        metadata.generation += 1
    if isinstance(obj, core.Namespace):
        obj.status.phase = "Terminating"
