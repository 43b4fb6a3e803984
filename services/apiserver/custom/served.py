"""Keeps the registry at the heels of the CustomResourceDefinitions, and the definitions' status at that of the names.

Reads the definitions out of the watch cache; writes their status, deletes the objects of those that are being deleted
and lets these go when none is left. What is served changes in the moment in which the cache takes a definition in,
so that every API server serves it a moment later. A definition that cannot be settled (the store does not answer) is
tried again after RETRY_S. At most one at a time is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from raftsman import errors, logs
from raftsman.apiextensions import v1 as apiextensions
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.access.identity import SERVER
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.verbs import delete, removal
from raftsman.services.apiserver.watchcache.object import CachedObject
from raftsman.services.apiserver.watchcache.watcher import Change as Seen

from . import conditions, conversion, kinds, naming
from .definition import FINALIZER, Definition

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
RETRY_S = 1.0

log = logs.get(__name__)
Changing = Callable[[Definition], None]


class Definitions:
    """All definitions and what is served of them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kind = api.kinds[DEFINITIONS]
        self._cache = api.cache(self._kind)
        self._cache.listeners.append(self._seen)
        api.feed.on_filled = self._filled
        self._served: dict[str, bytes] = {}
        self._waiting: dict[str, None] = {}
        self._wake = asyncio.Event()

    # -- what is served

    def _filled(self) -> None:
        """The cache was taken in anew."""
        there = {found.name for found in self._cache.values()}
        for name in [name for name in self._served if name not in there]:
            self._withdraw(name)
        for found in self._cache.values():
            self._serve(found.parsed())
            self._look_at(found.name)

    def _seen(self, seen: Seen) -> None:
        either = seen.new or seen.old
        assert either is not None
        if seen.new is None:
            self._withdraw(either.name)
        else:
            self._serve(seen.new.parsed())
        group = either.parsed().spec.group
        for found in self._cache.values():
            if found.name == either.name or found.name.endswith(f".{group}"):
                self._look_at(found.name)

    def _serve(self, definition: Definition) -> None:
        """What is served of a definition is compiled anew if it changed."""
        name = definition.metadata.name
        if not conditions.is_true(definition, conditions.ESTABLISHED):
            return
        mark = _mark(definition)
        if self._served.get(name) == mark:
            return
        try:
            made = kinds.kinds_of(definition, conversion.Versions(definition, self._ask))
        except Exception as error:
            log.error("a definition cannot be served", name=name, error=type(error).__name__, exc_info=error)
            return
        self._served[name] = mark
        cache = self._api.feed.adopt(made[kinds.storage_version(definition)])
        if self._emptied not in cache.listeners:
            cache.listeners.append(self._emptied)
        served = [made[version.name] for version in definition.spec.versions if version.served]
        self._api.registry.serve(name, served)
        log.info("custom resource served", name=name, versions=[kind.resource.version for kind in served])

    async def _ask(self, config: Any, question: Mapping[str, Any], seconds: float) -> Any:
        """A conversion webhook."""
        return await self._api.caller.ask(config, question, timeout_s=seconds)

    def _withdraw(self, name: str) -> None:
        if self._served.pop(name, None) is not None:
            self._api.registry.withdraw(name)
            self._api.feed.drop(name)
            log.info("custom resource not served any more", name=name)

    def _emptied(self, seen: Seen) -> None:
        """The last objects of a definition that is being deleted may have gone."""
        if seen.new is None and seen.old is not None:
            name = seen.old.kind.resource.qualified
            found = self._cache.get("", name)
            if found is not None and found.parsed().metadata.HasField("deletion_timestamp"):
                self._look_at(name)

    # -- what is said of them

    def _look_at(self, name: str) -> None:
        self._waiting[name] = None
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                name = next(iter(self._waiting))
                del self._waiting[name]
                try:
                    await self._settle(name)
                except errors.NotFound:
                    # It went meanwhile, or what is served of it did: then it comes up again.
                    continue
                except Exception as error:
                    # One definition that nobody thought of must not be the end for all others.
                    expected = isinstance(error, errors.ApiError)
                    told = None if expected else error
                    log.warning("a definition cannot be settled yet", name=name, error=error, exc_info=told)
                    asyncio.get_running_loop().call_later(RETRY_S, self._look_at, name)

    async def _settle(self, name: str) -> None:
        found = self._cache.get("", name)
        if found is None:
            return
        definition: Definition = found.parsed()
        if definition.metadata.HasField("deletion_timestamp"):
            await self._finish(definition)
        elif self._decided(definition) != definition.status:
            await self._write(name, self._renamed)

    def _decided(self, definition: Definition) -> apiextensions.CustomResourceDefinitionStatus:
        group = definition.spec.group
        builtin = (kind.resource for kind in self._api.registry.builtin if kind.resource.group == group)
        return naming.decide(definition, self._others(definition), builtin=builtin)

    def _others(self, definition: Definition) -> list[Definition]:
        suffix, own = f".{definition.spec.group}", definition.metadata.name
        found = (one.parsed() for one in self._cache.values() if one.name.endswith(suffix) and one.name != own)
        return [one for one in found if one.spec.group == definition.spec.group]

    def _renamed(self, definition: Definition) -> None:
        if not definition.metadata.HasField("deletion_timestamp"):
            definition.status.CopyFrom(self._decided(definition))

    async def _write(self, name: str, change: Changing) -> None:
        async def changed(found: CachedObject) -> Change:
            new = found.parsed()
            change(new)
            return Change(new, remove=removal.finished(self._kind, new))

        try:
            await self._api.allocator.update(self._kind, name, changed, namespace="")
        except errors.NotFound:
            return

    async def _finish(self, definition: Definition) -> None:
        """Delete the objects of a definition that is on its way out; let it go when they are gone."""
        name = definition.metadata.name
        if FINALIZER not in definition.metadata.finalizers:
            return
        if name in self._served:
            kind = self._api.feed.caches[name].kind
            await self._write(name, _emptying)
            await self._empty(kind)
            await self._api.feed.fresh()
            cache = self._api.feed.caches.get(name)
            if cache is not None and next(iter(cache.values()), None) is not None:
                return
        await self._write(name, _freed)

    async def _empty(self, kind: Kind) -> None:
        call = Call(SERVER, kind, [])
        await delete.delete_collection(self._api, call, meta.DeleteCollectionRequest().SerializeToString())


def _emptying(definition: Definition) -> None:
    conditions.set_(
        definition.status, conditions.TERMINATING, "True", "InstanceDeletionInProgress",
        "its objects are being deleted",
    )  # fmt: skip


def _freed(definition: Definition) -> None:
    conditions.set_(
        definition.status, conditions.TERMINATING, "False", "InstanceDeletionCompleted", "all of its objects are gone"
    )
    kept = [one for one in definition.metadata.finalizers if one != FINALIZER]
    definition.metadata.ClearField("finalizers")
    definition.metadata.finalizers.extend(kept)


def _mark(definition: Definition) -> bytes:
    """What decides how a definition is served."""
    said = apiextensions.CustomResourceDefinition(spec=definition.spec)
    said.status.accepted_names.CopyFrom(definition.status.accepted_names)
    if definition.metadata.HasField("deletion_timestamp"):
        said.metadata.deletion_timestamp.seconds = 1
    return said.SerializeToString(deterministic=True)
