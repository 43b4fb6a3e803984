"""Caches that follow the API: list once, then watch; handlers hear of every change in order.

An `Informer` holds the selected objects of one kind, parsed once and shared by all readers: nobody may change an object
taken out of a cache. Handlers are called one after another on the event loop and only enqueue. `Informers` shares one
informer per selection and runs them. A cache holds what the API holds; it has no bound of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from raftsman import logs, resources
from raftsman.client import Client, EventType
from raftsman.client.reflection import Change, Selection, Snapshot, follow
from raftsman.client.watching import difference
from raftsman.meta import v1 as meta
from raftsman.metadata import Key, key_of

__all__ = ["Cache", "Informer", "Informers", "Key"]

T = TypeVar("T")
log = logs.get(__name__)

Indexer = Callable[[Any], "Iterable[str] | str | None"]
Handler = Callable[[EventType, Any, Any], None]
"""Called with what happened, the state before (None: new) and the state after (None: gone)."""

RESTART_PAUSE_S = 1.0


class Cache(Generic[T]):
    """The objects of one selection, by key and by index. Objects must not be changed; copy them first."""

    def __init__(self) -> None:
        self._objects: dict[Key, T] = {}
        self._indexers: dict[str, Indexer] = {}
        self._indexes: dict[str, dict[str, dict[Key, T]]] = {}

    def get(self, key: Key) -> T | None:
        return self._objects.get(key)

    def list(self, namespace: str = "") -> list[T]:
        """All objects, or those of a namespace."""
        if namespace:
            return [obj for key, obj in self._objects.items() if key.namespace == namespace]
        return [*self._objects.values()]

    def by_index(self, name: str, value: str) -> Iterable[T]:
        """The objects for which the indexer `name` gave `value`."""
        return [*self._indexes[name].get(value, {}).values()]

    def keys(self) -> Iterable[Key]:
        return [*self._objects]

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        return iter([*self._objects.values()])

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def add_index(self, name: str, indexer: Indexer) -> None:
        """Index by `indexer`, what is there included. The same name twice is the same index."""
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        index = self._indexes[name] = {}
        for key, obj in self._objects.items():
            for value in _values(indexer, obj):
                index.setdefault(value, {})[key] = obj

    def put(self, key: Key, obj: T) -> T | None:
        """Store `obj`; returns what it replaces. For the informer alone."""
        old = self.pop(key)
        self._objects[key] = obj
        for name, indexer in self._indexers.items():
            for value in _values(indexer, obj):
                self._indexes[name].setdefault(value, {})[key] = obj
        return old

    def pop(self, key: Key) -> T | None:
        """Forget an object. For the informer alone."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, indexer in self._indexers.items():
                self._unindex(name, _values(indexer, old), key)
        return old

    def _unindex(self, name: str, values: Iterable[str], key: Key) -> None:
        index = self._indexes[name]
        for value in values:
            found = index.get(value)
            if found is not None:
                found.pop(key, None)
                if not found:
                    del index[value]


def _values(indexer: Indexer, obj: Any) -> Iterable[str]:
    values = indexer(obj)
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else values


class Informer(Generic[T]):
    """One selection: its cache, its handlers, and the task that keeps them up to date."""

    def __init__(self, client: Client, selection: Selection) -> None:
        self.cache: Cache[T] = Cache()
        self.selection = selection
        self._client = client
        self._handlers: list[Handler] = []
        self._resyncs: dict[Handler, float] = {}
        self._alarms: dict[Handler, asyncio.TimerHandle] = {}
        self._running = False
        self._synced = asyncio.Event()

    @property
    def has_synced(self) -> bool:
        """Whether the cache has held the whole selection once."""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Wait until the cache holds the whole selection."""
        await self._synced.wait()

    def add_handler(self, handler: Handler, *, resync_s: float | None = None) -> None:
        """Call `handler` for every change from now on, and first for each object that is there as ADDED.

        With `resync_s`, every object comes again that often as MODIFIED from itself, though nothing changed: for
        controllers whose outside world changes without telling.
        """
        self._handlers.append(handler)
        if resync_s is not None:
            if resync_s <= 0:
                raise ValueError("resync_s must be more than 0")
            self._resyncs[handler] = resync_s
            if self._running:
                self._set_alarm(handler)
        for obj in self.cache:
            self._call(handler, EventType.ADDED, None, obj)

    def remove_handler(self, handler: Handler) -> None:
        """Call `handler` no more."""
        self._handlers.remove(handler)
        self._resyncs.pop(handler, None)
        if handler in self._alarms:
            self._alarms.pop(handler).cancel()

    def _set_alarm(self, handler: Handler) -> None:
        pause_s = self._resyncs[handler] * random.uniform(0.9, 1.1)
        self._alarms[handler] = asyncio.get_running_loop().call_later(pause_s, self._resync, handler)

    def _resync(self, handler: Handler) -> None:
        for obj in self.cache:
            self._call(handler, EventType.MODIFIED, obj, obj)
        self._set_alarm(handler)

    async def run(self) -> None:
        """Follow the API until cancelled. Nothing that the API answers ends it."""
        self._running = True
        for handler in self._resyncs:
            self._set_alarm(handler)
        try:
            while True:
                try:
                    await self._follow()
                except Exception:
                    log.exception("informer failed", resource=self.selection.resource.qualified)
                await asyncio.sleep(RESTART_PAUSE_S)
        finally:
            self._running = False
            for alarm in self._alarms.values():
                alarm.cancel()
            self._alarms.clear()

    async def _follow(self) -> None:
        changes = follow(self._client.transport, self.selection, patient=True)
        async with contextlib.aclosing(changes):
            async for change in changes:
                if isinstance(change, Snapshot):
                    self._replace(change)
                    self._synced.set()
                else:
                    self._apply(change)

    def _replace(self, now: Snapshot[T]) -> None:
        shown = {key_of(obj): obj for obj in self.cache}
        for event in difference(shown, now):
            self._apply(Change(event.type, event.object))

    def _apply(self, change: Change[T]) -> None:
        key = key_of(change.object)
        if change.type is EventType.DELETED:
            self.cache.pop(key)
            self._tell(EventType.DELETED, change.object, None)
            return
        old = self.cache.put(key, change.object)
        self._tell(EventType.ADDED if old is None else EventType.MODIFIED, old, change.object)

    def clear(self) -> None:
        """Forget everything; handlers hear of each object's end."""
        for obj in self.cache:
            self._apply(Change(EventType.DELETED, obj))

    def _tell(self, kind: EventType, old: T | None, new: T | None) -> None:
        for handler in self._handlers:
            self._call(handler, kind, old, new)

    def _call(self, handler: Handler, kind: EventType, old: T | None, new: T | None) -> None:
        try:
            handler(kind, old, new)
        except Exception:
            log.exception("handler failed", resource=self.selection.resource.qualified)


class Informers:
    """One informer per selection, shared. `async with Informers(client) as informers:` runs them meanwhile."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._informers: dict[Selection, Informer[Any]] = {}
        self._tasks: dict[Selection, asyncio.Task[None]] = {}
        self._running = False

    def get(
        self, message: type[T], *, namespace: str = "", label_selector: str = "", field_selector: str = "",
        indexers: Mapping[str, Indexer] | None = None,
    ) -> Informer[T]:  # fmt: skip
        """The informer of a selection; it runs as soon as `self` does."""
        resource = resources.by_message(message)
        selection = Selection(resource, namespace, label_selector, field_selector)
        return self._shared(selection, indexers or {})

    def metadata(self, message: type[Any], indexers: Mapping[str, Indexer] | None = None) -> Informer[Any]:
        """An informer of every object of a kind of which only `metadata` may be read: the whole one if somebody has it
        already, else one that keeps nothing else."""
        resource = resources.by_message(message)
        selection = Selection(resource)
        # A custom resource's objects are JSON, of which no message is the beginning.
        if selection not in self._informers and resource not in resources.custom():
            selection = Selection(resource, projection=meta.PartialObjectMetadata)
        return self._shared(selection, indexers or {})

    def drop(self, message: type[Any]) -> None:
        """A custom resource is gone, and so is all that its informers hold; handlers hear of that."""
        resource = resources.by_message(message)
        for selection in [one for one in self._informers if one.resource == resource]:
            task = self._tasks.pop(selection, None)
            if task is not None:
                task.cancel()
            self._informers.pop(selection).clear()

    def _shared(self, selection: Selection, indexers: Mapping[str, Indexer]) -> Informer[Any]:
        informer = self._informers.get(selection)
        if informer is None:
            informer = self._informers[selection] = Informer(self.client, selection)
            if self._running:
                self._start(selection, informer)
        for name, indexer in indexers.items():
            informer.cache.add_index(name, indexer)
        return informer

    async def synced(self) -> None:
        """Wait until every informer asked for so far holds its whole selection."""
        for informer in [*self._informers.values()]:
            await informer.synced()

    async def run(self) -> None:
        """Run all informers, and those asked for later, until cancelled."""
        async with self:
            await asyncio.Event().wait()

    async def __aenter__(self) -> Informers:
        self._running = True
        for selection, informer in self._informers.items():
            self._start(selection, informer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        tasks = [*self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, selection: Selection, informer: Informer[Any]) -> None:
        name = f"informer {selection.resource.qualified}"
        self._tasks[selection] = asyncio.create_task(informer.run(), name=name)
