"""Events: what a component did or saw, for people to read with the object.

Recording never waits and never fails: events go through a queue of QUEUE_MAX (the newest is dropped when it is full)
and each object may have BURST_MAX in a row, then one every REFILL_S. The same event again within SAME_S raises the
count of the first instead of making a second; SEEN_MAX of them are remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from raftsman import errors, logs, resources
from raftsman.client import Client
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta

log = logs.get(__name__)

NAME_MAX = 253
QUEUE_MAX = 1000
BURST_MAX = 25
REFILL_S = 300.0
SAME_S = 600.0
SEEN_MAX = 4096
ATTEMPTS_MAX = 3
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened, once."""

    involved: tuple[str, str, str, str, str, str]
    """apiVersion, kind, namespace, name, uid, fieldPath"""
    resource_version: str
    type: str
    reason: str
    message: str
    at: float
    """Unix seconds."""

    @property
    def same(self) -> tuple[Any, ...]:
        return (self.involved, self.type, self.reason, self.message)


@dataclass(slots=True)
class _Seen:
    name: str
    count: int
    at: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


def refused_by_leaving_namespace(error: Exception) -> bool:
    """Whether a write was refused because its namespace is being deleted, and everything in it anyway."""
    return isinstance(error, errors.Forbidden) and any(c.reason == "NamespaceTerminating" for c in error.causes)


class EventRecorder:
    """Records in the name of one component (and of one host). `run` does the writing."""

    def __init__(self, client: Client, component: str, *, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._queue: asyncio.Queue[Fact] = asyncio.Queue(QUEUE_MAX)
        self._seen: OrderedDict[tuple[Any, ...], _Seen] = OrderedDict()
        self._buckets: OrderedDict[Any, _Bucket] = OrderedDict()

    def normal(self, obj: Any, reason: str, message: str, *, field_path: str = "") -> None:
        """`obj`: any object of a kind, or a core.ObjectReference."""
        self._record("Normal", obj, reason, message, field_path)

    def warning(self, obj: Any, reason: str, message: str, *, field_path: str = "") -> None:
        self._record("Warning", obj, reason, message, field_path)

    def _record(self, kind: str, obj: Any, reason: str, message: str, field_path: str) -> None:
        fact = _fact(kind, obj, reason, message, field_path, time.time())
        try:
            self._queue.put_nowait(fact)
        except asyncio.QueueFull:
            log.warning("event dropped, the queue is full", reason=reason, object="/".join(fact.involved[1:4]))

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            fact = await self._queue.get()
            try:
                if self._may(fact):
                    await self._write(fact)
                else:
                    log.debug("event dropped, too many for one object", reason=fact.reason)
            except Exception as error:
                about = "/".join(fact.involved[1:4])
                level = log.debug if refused_by_leaving_namespace(error) else log.warning
                level("event not written", reason=fact.reason, object=about, error=error)
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Wait until everything recorded so far is written or given up."""
        await self._queue.join()

    def _may(self, fact: Fact) -> bool:
        """Take a token from the bucket of the object."""
        bucket = self._buckets.setdefault(fact.involved, _Bucket(BURST_MAX, fact.at))
        self._buckets.move_to_end(fact.involved)
        if len(self._buckets) > SEEN_MAX:
            self._buckets.popitem(last=False)
        bucket.tokens = min(BURST_MAX, bucket.tokens + (fact.at - bucket.at) / REFILL_S)
        bucket.at = fact.at
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _write(self, fact: Fact) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await self._count_or_create(fact)
                return
            except (errors.Unavailable, errors.Timeout, errors.TooManyRequests):
                if attempt == ATTEMPTS_MAX:
                    raise
            await asyncio.sleep(RETRY_S * attempt)

    async def _count_or_create(self, fact: Fact) -> None:
        seen = self._seen.get(fact.same)
        if seen is not None and fact.at - seen.at < SAME_S:
            patch = {"count": seen.count + 1, "lastTimestamp": _rfc3339(fact.at)}
            try:
                await self._client.patch(core.Event, seen.name, patch, namespace=_namespace(fact))
            except errors.NotFound:
                del self._seen[fact.same]
            else:
                seen.count, seen.at = seen.count + 1, fact.at
                return
        event = event_of(fact, component=self._component, host=self._host)
        await self._client.create(event)
        self._seen[fact.same] = _Seen(event.metadata.name, 1, fact.at)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)


def _fact(kind: str, obj: Any, reason: str, message: str, field_path: str, at: float) -> Fact:
    if isinstance(obj, core.ObjectReference):
        involved = (obj.api_version, obj.kind, obj.namespace, obj.name, obj.uid, obj.field_path or field_path)
        return Fact(involved, obj.resource_version, kind, reason, message, at)
    resource = resources.by_message(type(obj))
    metadata = obj.metadata
    involved = (resource.api_version, resource.kind, metadata.namespace, metadata.name, metadata.uid, field_path)
    return Fact(involved, metadata.resource_version, kind, reason, message, at)


def event_of(fact: Fact, *, component: str, host: str = "") -> core.Event:
    """The first event of a fact. Its name is the object's and the time in nanoseconds, so that it is unique."""
    api_version, kind, namespace, name, uid, field_path = fact.involved
    at = meta.Time(seconds=int(fact.at))
    event = core.Event(
        involved_object=core.ObjectReference(api_version=api_version, kind=kind, name=name, uid=uid),
        reason=fact.reason, message=fact.message, type=fact.type, count=1,
        first_timestamp=at, last_timestamp=at,
        source=core.EventSource(component=component),
        reporting_component=component, reporting_instance=host,
    )  # fmt: skip
    suffix = f".{time.time_ns():x}"
    event.metadata.name = name[: NAME_MAX - len(suffix)].rstrip("-.") + suffix
    event.metadata.namespace = _namespace(fact)
    if host:
        event.source.host = host
    for field, value in (
        ("namespace", namespace), ("field_path", field_path), ("resource_version", fact.resource_version),
    ):  # fmt: skip
        if value:
            setattr(event.involved_object, field, value)
    return event


def _namespace(fact: Fact) -> str:
    return fact.involved[2] or "default"


def _rfc3339(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
