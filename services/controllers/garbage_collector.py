"""Delete what nobody owns any more.

Reads the metadata of every served kind but events, custom resources among them, and CustomResourceDefinitions; writes:
deletes objects all of whose owners are gone, drops owner references that lead nowhere, and completes Foreground and
Orphan deletion by taking their finalizers away. Before any write the object and every owner that the caches do not know
are read directly; an owner that cannot be asked for (its kind is not served) counts as there. ABSENT_MAX uids that are
known to be gone are remembered. What is decided and why stands in `owner_graph`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from raftsman import EventType, custom, errors, logs, resources
from raftsman.apiextensions import v1 as apiextensions
from raftsman.controller import Controller, Key
from raftsman.informer import Informer
from raftsman.meta import v1 as meta
from raftsman.resources import Resource

from .owner_graph import FOREGROUND, ORPHAN, Graph, Item, Owner, Plan, State, Verb, decide, item_of, owner_states

START_DELAY_S = 2.0
ABSENT_MAX = 500
RETRY_S = 5.0
SETTLE_S = 0.5
DEPENDENTS_AT_ONCE_MAX = 16
_NEEDS = {"list", "watch", "delete", "patch"}
log = logs.get(__name__)


def collected() -> tuple[Resource, ...]:
    """The kinds that take part."""
    return tuple(r for r in resources.distinct() if r.kind != "Event" and set(r.facts.verbs) >= _NEEDS)


class GarbageCollector(Controller):
    """Keys are uids. It begins `start_delay_s` after the others: they are what a starting cluster waits for, and the
    caches that they fill by then are shared."""

    name = "garbage-collector"
    workers = 4

    def __init__(self, *, start_delay_s: float = START_DELAY_S) -> None:
        self._start_delay_s = start_delay_s
        self._graph = Graph()
        self._informers: dict[Resource, Informer[Any]] = {}
        self._redefined = asyncio.Event()
        self._absent: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        await asyncio.sleep(self._start_delay_s)
        for resource in collected():
            self._follow(resource)
        definitions = self.informers.get(apiextensions.CustomResourceDefinition)
        definitions.add_handler(lambda *_: self._redefined.set())
        self._redefined.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_custom())
            tasks.create_task(super().run())

    def _follow(self, resource: Resource) -> None:
        informer = self._informers[resource] = self.informers.metadata(resource.message)
        informer.add_handler(self._handler(resource))

    async def _follow_custom(self) -> None:
        """Custom resources as they come and go: looked at anew when a definition changed, and a moment after."""
        followed: set[Resource] = set()
        while True:
            await self._redefined.wait()
            self._redefined.clear()
            try:
                await custom.learn(self.client)
            except errors.ApiError as error:
                log.warning("custom resources cannot be listed", error=error)
                asyncio.get_running_loop().call_later(RETRY_S, self._redefined.set)
                continue
            now = {one for one in resources.distinct_custom() if set(one.facts.verbs) >= _NEEDS}
            for resource in followed - now:
                del self._informers[resource]
                self.informers.drop(resource.message)
            for resource in now - followed:
                self._follow(resource)
            followed = now
            await asyncio.sleep(SETTLE_S)

    async def synced(self) -> None:
        for informer in [*self._informers.values()]:
            await informer.synced()

    def _handler(self, resource: Resource) -> Callable[[EventType, Any, Any], None]:
        def handle(kind: EventType, old: Any, new: Any) -> None:
            look = self._graph.put(item_of(resource, new)) if new is not None else set()
            if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
                look |= self._graph.remove(old.metadata.uid)
            for uid in look:
                self.queue.add(Key("", uid))

        return handle

    async def reconcile(self, key: Key) -> None:
        item = self._graph.get(key.name)
        if item is None:
            return
        states = owner_states(item, self._graph)
        await self._resolve(item, states)
        if decide(item, states, self._graph.dependents(item.uid)).verb is Verb.NOTHING:
            return
        live = await self._read(item.resource, item.key)
        if live is None or live.metadata.uid != item.uid:
            return
        fresh = item_of(item.resource, live)
        states = owner_states(fresh, self._graph)
        await self._resolve(fresh, states)
        plan = decide(fresh, states, self._graph.dependents(item.uid))
        await self._carry_out(plan, fresh, live)

    # ---- observing

    async def _resolve(self, item: Item, states: dict[str, State]) -> None:
        """Ask for the owners that the graph does not know."""
        for owner in item.owners:
            if states[owner.uid] is State.UNKNOWN:
                states[owner.uid] = await self._ask(owner, item)

    async def _ask(self, owner: Owner, item: Item) -> State:
        if owner.uid in self._absent:
            return State.ABSENT
        resource = resources.by_kind(owner.api_version, owner.kind)
        if resource is None or not resource.service or (resource.namespaced and not item.key.namespace):
            log.debug("owner cannot be asked for", object=item.key, owner=f"{owner.api_version} {owner.kind}")
            return State.SOLID
        namespace = item.key.namespace if resource.namespaced else ""
        live = await self._read(resource, Key(namespace, owner.name))
        if live is not None and live.metadata.uid == owner.uid:
            return State.WAITING if item_of(resource, live).waits else State.SOLID
        self._absent[owner.uid] = None
        if len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)
        return State.ABSENT

    async def _read(self, resource: Resource, key: Key) -> Any | None:
        try:
            return await self.client.get(resource.message, key.name, namespace=key.namespace)
        except errors.NotFound:
            return None

    # ---- carrying out

    async def _carry_out(self, plan: Plan, item: Item, live: Any) -> None:
        match plan.verb:
            case Verb.DELETE:
                await self._delete(item, live, plan.policy)
            case Verb.DROP_OWNERS:
                await self._drop_owners(item.resource, live, plan.uids)
            case Verb.ORPHAN_DEPENDENTS:
                await self._orphan(item, plan.uids)
            case Verb.DROP_FINALIZER:
                await self._drop_finalizer(item, live, plan.finalizer)
            case Verb.LOOK_AT_DEPENDENTS:
                for uid in plan.uids:
                    self.queue.add(Key("", uid))

    async def _delete(self, item: Item, live: Any, policy: str) -> None:
        with contextlib.suppress(errors.NotFound):
            await self.client.delete(
                item.resource.message, item.key.name, namespace=item.key.namespace, propagation=policy,
                uid=item.uid, resource_version=live.metadata.resource_version,
            )  # fmt: skip
            log.info("unowned object deleted", resource=item.resource.qualified, key=item.key, policy=policy)

    async def _drop_owners(self, resource: Resource, live: Any, uids: frozenset[str]) -> None:
        kept = [reference for reference in live.metadata.owner_references if reference.uid not in uids]
        await self._patch(resource, live, {"ownerReferences": [_json(reference) for reference in kept]})

    async def _drop_finalizer(self, item: Item, live: Any, finalizer: str) -> None:
        assert finalizer in (FOREGROUND, ORPHAN), finalizer
        kept = [name for name in live.metadata.finalizers if name != finalizer]
        await self._patch(item.resource, live, {"finalizers": kept})

    async def _orphan(self, item: Item, uids: frozenset[str]) -> None:
        """Take `item` from the owners of its dependents. It is looked at again when the last of them shows so."""
        permits = asyncio.Semaphore(DEPENDENTS_AT_ONCE_MAX)

        async def free(dependent: Item) -> None:
            async with permits:
                live = await self._read(dependent.resource, dependent.key)
                if live is not None and live.metadata.uid == dependent.uid:
                    await self._drop_owners(dependent.resource, live, frozenset({item.uid}))

        await asyncio.gather(*(free(d) for d in self._graph.dependents(item.uid) if d.uid in uids))

    async def _patch(self, resource: Resource, live: Any, fields: dict[str, Any]) -> None:
        """Only if the object is still what was read."""
        patch = {"metadata": {"resourceVersion": live.metadata.resource_version, **fields}}
        with contextlib.suppress(errors.NotFound):
            await self.client.patch(resource.message, live.metadata.name, patch, namespace=live.metadata.namespace)


def _json(reference: meta.OwnerReference) -> dict[str, Any]:
    body: dict[str, Any] = {
        "apiVersion": reference.api_version, "kind": reference.kind, "name": reference.name, "uid": reference.uid,
    }  # fmt: skip
    if reference.HasField("controller"):
        body["controller"] = reference.controller
    if reference.HasField("block_owner_deletion"):
        body["blockOwnerDeletion"] = reference.block_owner_deletion
    return body
