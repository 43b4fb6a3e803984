"""Empty a namespace that is being deleted, then let it go.

Reads Namespace, and lists every namespaced kind that is served, custom resources too; writes: deletes what it finds
(pods gracefully, and everything else too), Namespace.status conditions that say what is left, and at last
Namespace.spec.finalizers without `kubernetes`, upon which the API server removes it. While something is left it looks
again every LOOK_AGAIN_S, later and later up to LOOK_AGAIN_MAX_S.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raftsman import custom, errors, logs, resources, times
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core
from raftsman.resources import Resource

FINALIZER = "kubernetes"
LOOK_AGAIN_S = 0.5
LOOK_AGAIN_MAX_S = 10.0
LIST_MAX = 500
log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Content:
    """What a namespace holds of one kind."""

    resource: Resource
    count: int
    deleting: int = 0
    """How many of them are being deleted already."""

    finalizers: tuple[str, ...] = ()
    """One entry for each object and finalizer."""


@dataclass(frozen=True, slots=True)
class Observed:
    namespace: core.Namespace
    contents: tuple[Content, ...] = ()
    failures: tuple[str, ...] = ()
    """Why kinds could not be listed or emptied."""


@dataclass(frozen=True, slots=True)
class Plan:
    delete: tuple[Resource, ...] = ()
    status: core.NamespaceStatus | None = None
    finalize: bool = False
    look_again: bool = False


def is_leaving(namespace: core.Namespace) -> bool:
    return namespace.metadata.HasField("deletion_timestamp") and FINALIZER in namespace.spec.finalizers


def decide(observed: Observed, *, now: datetime) -> Plan:
    if not is_leaving(observed.namespace):
        return Plan()
    present = tuple(content for content in observed.contents if content.count)
    if not present and not observed.failures:
        return Plan(finalize=True)
    return Plan(
        delete=tuple(content.resource for content in present if content.deleting < content.count),
        status=_status(observed, present, now),
        look_again=True,
    )


def _status(observed: Observed, present: tuple[Content, ...], now: datetime) -> core.NamespaceStatus | None:
    """The status to write, or None if it says all this already."""
    remaining = "; ".join(f"{content.resource.qualified}: {content.count}" for content in present)
    finalizers = Counter(name for content in present for name in content.finalizers)
    held = "; ".join(f"{name}: {count}" for name, count in sorted(finalizers.items()))
    status = core.NamespaceStatus()
    status.CopyFrom(observed.namespace.status)
    status.phase = "Terminating"
    failed = "; ".join(observed.failures)
    _set(status, "NamespaceContentRemaining", "SomeResourcesRemain", remaining and f"still there: {remaining}", now)
    _set(status, "NamespaceFinalizersRemaining", "SomeFinalizersRemain", held and f"waiting for: {held}", now)
    _set(status, "NamespaceDeletionContentFailure", "ContentDeletionFailed", failed, now)
    return None if status == observed.namespace.status else status


def _set(status: core.NamespaceStatus, kind: str, reason: str, message: str, now: datetime) -> None:
    """True with a message, False without; an unmet condition is not added."""
    wanted = "True" if message else "False"
    condition = next((c for c in status.conditions if c.type == kind), None)
    if condition is None:
        if not message:
            return
        condition = status.conditions.add(type=kind)
    if condition.status != wanted:
        condition.last_transition_time.CopyFrom(times.from_datetime(now))
    condition.status, condition.reason = wanted, reason if message else "NothingRemains"
    condition.message = message or "nothing remains"


class NamespaceController(Controller):
    name = "namespace"
    workers = 2
    watches = (Watch(core.Namespace, changed=lambda old, new: is_leaving(old) != is_leaving(new)),)

    def __init__(self) -> None:
        self._kinds = tuple(r for r in resources.distinct() if r.namespaced and "list" in r.facts.verbs)
        self._looks: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> Result | None:
        namespace = self.cache(core.Namespace).get(key)
        if namespace is None or not is_leaving(namespace):
            self._looks.pop(key, None)
            return None
        try:
            namespace = await self.client.get(core.Namespace, key.name)
        except errors.NotFound:
            return None
        contents, failures = await self._look(key.name)
        plan = decide(Observed(namespace, contents, failures), now=datetime.now(UTC))
        for resource in plan.delete:
            await self._empty(resource, key.name)
        if plan.status is not None:
            namespace = await self.client.update_status(
                core.Namespace(metadata=namespace.metadata, spec=namespace.spec, status=plan.status)
            )
        if plan.finalize:
            await self._finalize(namespace)
        return self._look_again(key) if plan.look_again else None

    def _look_again(self, key: Key) -> Result:
        looks = self._looks[key] = self._looks.get(key, -1) + 1
        return Result(min(LOOK_AGAIN_S * 1.5 ** min(looks, 20), LOOK_AGAIN_MAX_S))

    async def _look(self, namespace: str) -> tuple[tuple[Content, ...], tuple[str, ...]]:
        await custom.learn(self.client)
        customs = (one for one in resources.distinct_custom() if one.namespaced)
        kinds = (*self._kinds, *customs)
        found = await asyncio.gather(*(self._content(r, namespace) for r in kinds), return_exceptions=True)
        failures = []
        contents = []
        for resource, content in zip(kinds, found, strict=True):
            if isinstance(content, errors.ApiError):
                failures.append(f"{resource.qualified}: {content}")
            elif isinstance(content, BaseException):
                raise content
            else:
                contents.append(content)
        return tuple(contents), tuple(failures)

    async def _content(self, resource: Resource, namespace: str) -> Content:
        listing: Any = await self.client.list(resource.message, namespace=namespace, limit=LIST_MAX)
        metadatas = [obj.metadata for obj in listing.items]
        return Content(
            resource,
            count=len(metadatas) + listing.metadata.remaining_item_count,
            deleting=sum(m.HasField("deletion_timestamp") for m in metadatas),
            finalizers=tuple(name for m in metadatas for name in m.finalizers),
        )

    async def _empty(self, resource: Resource, namespace: str) -> None:
        if "deletecollection" in resource.facts.verbs:
            await self.client.delete_collection(resource.message, namespace=namespace)
            return
        for obj in (await self.client.list(resource.message, namespace=namespace)).items:
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(resource.message, obj.metadata.name, namespace=namespace)

    async def _finalize(self, namespace: core.Namespace) -> None:
        freed = core.Namespace()
        freed.CopyFrom(namespace)
        freed.spec.finalizers.remove(FINALIZER)
        with contextlib.suppress(errors.NotFound):
            await self.client.finalize(freed)
        log.info("namespace emptied", namespace=namespace.metadata.name)
