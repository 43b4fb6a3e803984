"""Controllers: watches enqueue keys, workers reconcile them, failures come again later.

A controller names what it watches and how a changed object leads to the key of the object that it looks after; its
`reconcile` observes through caches, decides, and writes through the client. One key is never reconciled twice at once.
A reconcile that raises, or takes longer than `timeout_s`, is logged and tried again with growing pauses; nothing that
one object does stops the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from raftsman import errors, logs, metrics
from raftsman.client import Client, EventType
from raftsman.informer import Cache, Indexer, Informer, Informers
from raftsman.metadata import Key, controller_of, key_of
from raftsman.recorder import EventRecorder, refused_by_leaving_namespace
from raftsman.workqueue import WorkQueue

__all__ = ["Controller", "Key", "Result", "Watch", "controller_owner_key", "run_controllers"]

T = TypeVar("T")
log = logs.get(__name__)

Keys = Callable[[Any], "Key | Iterable[Key] | None"]

RECONCILE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind that a controller follows."""

    message: type[Any]
    key: Keys = key_of
    """The keys to look at when an object changes; asked of its state before and after."""

    changed: Callable[[Any, Any], bool] | None = None
    """Whether an update from one state to another matters; None: always."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    indexers: Mapping[str, Indexer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile went; with `requeue_after_s`, the key is looked at again then even if nothing changes."""

    requeue_after_s: float | None = None


def controller_owner_key(kind: str) -> Keys:
    """The key of the controlling owner, if that is of `kind`."""

    def key(obj: Any) -> Key | None:
        owner = controller_of(obj)
        return Key(obj.metadata.namespace, owner.name) if owner is not None and owner.kind == kind else None

    return key


class Controller:
    """Base of all controllers. Subclasses give `name`, `watches` and `reconcile`."""

    name: ClassVar[str]
    watches: Sequence[Watch] = ()
    workers: int = 1
    component: str = ""
    """The source of its events; "" is `name`-controller."""
    timeout_s: float = RECONCILE_TIMEOUT_S

    client: Client
    informers: Informers
    events: EventRecorder
    queue: WorkQueue[Key]

    async def reconcile(self, key: Key) -> Result | None:
        """Look at one object and bring the world closer to what it asks for."""
        raise NotImplementedError

    def attach(self, client: Client, informers: Informers) -> None:
        """Take the client and the shared informers; subscribe to the watches. Called once, on the running loop."""
        self.client = client
        self.informers = informers
        self.events = EventRecorder(client, self.component or f"{self.name}-controller")
        self.queue = WorkQueue()
        self._followed: list[tuple[Watch, Informer[Any]]] = []
        for watch in self.watches:
            informer = informers.get(
                watch.message, namespace=watch.namespace, label_selector=watch.label_selector,
                field_selector=watch.field_selector, indexers=watch.indexers,
            )  # fmt: skip
            self._followed.append((watch, informer))
        for watch, informer in self._followed:
            informer.add_handler(_enqueuer(watch, self.queue))

    def cache(self, message: type[T]) -> Cache[T]:
        """The cache of a watched kind."""
        for watch, informer in self._followed:
            if watch.message is message:
                return informer.cache
        raise LookupError(f"{self.name} does not watch {message.__name__}")

    async def synced(self) -> None:
        for _, informer in self._followed:
            await informer.synced()

    async def run(self) -> None:
        """Work until cancelled."""
        await self.synced()
        log.info("controller started", controller=self.name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            for _ in range(self.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            metrics.queue_depth(self.name, len(self.queue))
            try:
                await self._handle(key)
            finally:
                self.queue.done(key)

    async def _handle(self, key: Key) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.timeout_s):
                result = await self.reconcile(key)
        except Exception as error:
            self._failed(key, error)
            metrics.reconciled(self.name, time.perf_counter() - started, failed=True)
            return
        metrics.reconciled(self.name, time.perf_counter() - started, failed=False)
        self.queue.forget(key)
        if result is not None and result.requeue_after_s is not None:
            self.queue.add_after(key, result.requeue_after_s)

    def _failed(self, key: Key, error: Exception) -> None:
        """Conflicts are how optimistic writes go; everything else deserves a line, a bug its traceback. What a
        namespace that is being deleted refuses is not tried again: it goes away with everything in it."""
        if refused_by_leaving_namespace(error):
            log.debug("left alone, its namespace is being deleted", controller=self.name, key=key)
            self.queue.forget(key)
            return
        expected = (errors.Conflict, errors.Unavailable, errors.Timeout)
        level = log.debug if isinstance(error, errors.Conflict) else log.warning
        level(
            "reconcile failed, trying again", controller=self.name, key=key, error=f"{type(error).__name__}: {error}",
            failures=self.queue.failures(key) + 1,
            exc_info=not isinstance(error, (*expected, errors.ApiError, TimeoutError)),
        )  # fmt: skip
        self.queue.add_rate_limited(key)


def _enqueuer(watch: Watch, queue: WorkQueue[Key]) -> Callable[[EventType, Any, Any], None]:
    def handle(kind: EventType, old: Any, new: Any) -> None:
        if watch.changed is not None and old is not None and new is not None and not watch.changed(old, new):
            return
        for obj in (old, new):
            if obj is not None:
                for key in _keys(watch.key(obj)):
                    queue.add(key)

    return handle


def _keys(found: Key | Iterable[Key] | None) -> Iterable[Key]:
    if found is None:
        return ()
    return (found,) if isinstance(found, Key) else found


async def run_controllers(
    client: Client, controllers: Sequence[Controller], *, informers: Informers | None = None
) -> None:
    """Run controllers over shared informers until cancelled. With `informers`, the caller runs those."""
    shared = informers or Informers(client)
    for controller in controllers:
        controller.attach(client, shared)
    async with asyncio.TaskGroup() as group:
        if informers is None:
            group.create_task(shared.run())
        for controller in controllers:
            group.create_task(controller.run(), name=f"controller {controller.name}")
