"""Who owns whom, over all kinds, and what must become of an object because of its owners or of what it owns.

    ReplicaSet r (uid 1)   ←  Pod p, owners [1]
    r removed              →  p: its only owner is absent            → delete p
    Pod q, owners [1, 2]   →  2 still there, 1 absent                → drop owner 1 from q
    r deleted Foreground   →  p: its only owner waits for it         → delete p; when p is gone: let r go
    r deleted Orphan       →  drop owner 1 from p, then let r go
    Pod s, owners [9]      →  9 was never seen: ask before believing that it is absent

Pure: no I/O, no clock. An owner is what has its uid; names are only used to ask for it. A cycle of owners keeps
itself alive until one of them is deleted; foreground deletion of a cycle ends, because what is being deleted already
no longer blocks another that waits.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raftsman.metadata import Key
from raftsman.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner reference."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool = False
    """Whether the owner's foreground deletion waits for this dependent."""


@dataclass(frozen=True, slots=True)
class Item:
    """What matters here of one object."""

    uid: str
    resource: Resource
    key: Key
    owners: tuple[Owner, ...] = ()
    deleting: bool = False
    finalizers: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it is being deleted and waits for what it owns to go first."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans(self) -> bool:
        """Whether it is being deleted and what it owns shall stay."""
        return self.deleting and ORPHAN in self.finalizers


def item_of(resource: Resource, obj: Any) -> Item:
    metadata = obj.metadata
    return Item(
        uid=metadata.uid,
        resource=resource,
        key=Key(metadata.namespace, metadata.name),
        owners=tuple(
            Owner(o.uid, o.api_version, o.kind, o.name, o.block_owner_deletion) for o in metadata.owner_references
        ),
        deleting=metadata.HasField("deletion_timestamp"),
        finalizers=tuple(metadata.finalizers),
    )


class Graph:
    """All objects by uid, and the dependents of every uid, whether the owner is known or not."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._dependents: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def dependents(self, uid: str) -> list[Item]:
        return [self._items[dependent] for dependent in self._dependents.get(uid, ())]

    def put(self, item: Item) -> set[str]:
        """Take in a new or changed object; returns the uids that must be looked at because of it."""
        old = self._items.get(item.uid)
        if old == item:
            return set()
        self._unlink(old)
        self._items[item.uid] = item
        for owner in item.owners:
            self._dependents.setdefault(owner.uid, set()).add(item.uid)
        look = {item.uid} if item.owners or item.waits or item.orphans else set()
        if old is not None and item.waits and not old.waits:
            look |= self._dependents.get(item.uid, set())
        for owner in {*item.owners, *(old.owners if old else ())}:
            if self._leaves(owner.uid):
                look.add(owner.uid)
        return look

    def remove(self, uid: str) -> set[str]:
        """Forget an object; returns the uids that must be looked at: what it owned, and owners that wait for it."""
        old = self._items.pop(uid, None)
        self._unlink(old)
        waiting = {owner.uid for owner in (old.owners if old else ()) if self._leaves(owner.uid)}
        return waiting | self._dependents.get(uid, set())

    def _leaves(self, uid: str) -> bool:
        item = self._items.get(uid)
        return item is not None and (item.waits or item.orphans)

    def _unlink(self, item: Item | None) -> None:
        for owner in item.owners if item is not None else ():
            found = self._dependents.get(owner.uid)
            if found is not None and item is not None:
                found.discard(item.uid)
                if not found:
                    del self._dependents[owner.uid]


class State(enum.Enum):
    """Of an owner. UNKNOWN: not in the graph, to be asked for."""

    SOLID = "solid"
    WAITING = "waiting"
    ABSENT = "absent"
    UNKNOWN = "unknown"


def owner_states(item: Item, graph: Graph) -> dict[str, State]:
    """What the graph knows of an item's owners."""
    states = {}
    for owner in item.owners:
        found = graph.get(owner.uid)
        if found is None:
            states[owner.uid] = State.UNKNOWN
        else:
            states[owner.uid] = State.WAITING if found.waits else State.SOLID
    return states


class Verb(enum.Enum):
    NOTHING = "nothing"
    DELETE = "delete"
    DROP_OWNERS = "drop-owners"
    ORPHAN_DEPENDENTS = "orphan-dependents"
    DROP_FINALIZER = "drop-finalizer"
    LOOK_AT_DEPENDENTS = "look-at-dependents"


@dataclass(frozen=True, slots=True)
class Plan:
    verb: Verb
    policy: str = ""
    """Of a DELETE."""

    uids: frozenset[str] = frozenset()
    """The owners to drop, or the dependents to orphan or to look at."""

    finalizer: str = ""


NOTHING = Plan(Verb.NOTHING)


def decide(item: Item, states: Mapping[str, State], dependents: Iterable[Item]) -> Plan:
    """What to do with an item. `states` of its owners; while one is UNKNOWN nothing is decided that it could change."""
    dependents = tuple(dependents)
    if item.orphans:
        owned = frozenset(dependent.uid for dependent in dependents)
        return Plan(Verb.ORPHAN_DEPENDENTS, uids=owned) if owned else Plan(Verb.DROP_FINALIZER, finalizer=ORPHAN)
    if item.waits:
        return _decide_waiting(item, dependents)
    if item.deleting or not item.owners:
        return NOTHING
    return _decide_owned(item, states, dependents)


def _decide_waiting(item: Item, dependents: tuple[Item, ...]) -> Plan:
    blocking = [d for d in dependents if _blocks(d, item)]
    if not blocking:
        return Plan(Verb.DROP_FINALIZER, finalizer=FOREGROUND)
    idle = frozenset(d.uid for d in dependents if not d.deleting)
    return Plan(Verb.LOOK_AT_DEPENDENTS, uids=idle) if idle else NOTHING


def _blocks(dependent: Item, owner: Item) -> bool:
    """One that waits itself for `owner` to go, as in a cycle, does not block."""
    if dependent.waits and any(reference.uid == dependent.uid for reference in owner.owners):
        return False
    return any(reference.uid == owner.uid and reference.blocks for reference in dependent.owners)


def _decide_owned(item: Item, states: Mapping[str, State], dependents: tuple[Item, ...]) -> Plan:
    uids: dict[State, set[str]] = {state: set() for state in State}
    for owner in item.owners:
        uids[states.get(owner.uid, State.UNKNOWN)].add(owner.uid)
    gone = frozenset(uids[State.ABSENT] | uids[State.WAITING])
    if not gone or uids[State.UNKNOWN]:
        return NOTHING
    if uids[State.SOLID]:
        return Plan(Verb.DROP_OWNERS, uids=gone)
    return Plan(Verb.DELETE, policy=_policy(item, bool(uids[State.WAITING]), dependents))


def _policy(item: Item, owner_waits: bool, dependents: tuple[Item, ...]) -> str:
    """Foreground passes down; otherwise what the object itself asks for by a finalizer, else Background."""
    if owner_waits and dependents:
        return "Foreground"
    if ORPHAN in item.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in item.finalizers else "Background"
