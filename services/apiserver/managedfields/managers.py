"""The entries of an object's managedFields, and how writes change them.

An update takes what it adds or changes from everybody else. An apply owns what it names, gives up what it named before
and no longer does (which is removed if nobody else owns it), and is refused where it would change what another owns,
unless it is forced. Entries that own nothing go. At most UPDATERS_MAX entries of updates are kept: the oldest become
one, `ancient-changes`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from raftsman import errors
from raftsman.meta import v1 as meta

from . import trees
from .messages import Changes
from .sets import EMPTY, FieldSet, text
from .shapes import Source

APPLY, UPDATE = "Apply", "Update"
ANCIENT = "ancient-changes"
UPDATERS_MAX = 10
NAME_MAX = 128
PARSED_MAX = 4096
# What the server writes, or what names the object: nobody owns it.
_OWNERLESS = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
              "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName")  # fmt: skip
_SERVERS = FieldSet.from_json({
    "f:apiVersion": {}, "f:kind": {}, "f:metadata": {f"f:{name}": {} for name in _OWNERLESS},
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, and how: entries differ in these four."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """`raw` is the fields' own form, if it is known."""

    fields: FieldSet
    time_s: int
    raw: bytes = b""


Entries = dict[Manager, Entry]


def decoded(found: Iterable[meta.ManagedFieldsEntry]) -> Entries:
    """errors.BadRequest if an entry is not what a server writes."""
    entries: Entries = {}
    for one in found:
        if one.operation not in (APPLY, UPDATE):
            raise errors.BadRequest(f'metadata.managedFields: operation "{one.operation}" is none of Apply, Update')
        try:
            entry = Entry(_parsed(one.fields_v1.raw), one.time.seconds, one.fields_v1.raw)
        except ValueError as error:
            raise errors.BadRequest(f"metadata.managedFields: {error}") from None
        manager = Manager(one.manager, one.operation, one.api_version, one.subresource)
        known = entries.get(manager)
        entries[manager] = entry if known is None else Entry(known.fields.union(entry.fields), entry.time_s)
    return entries


@functools.lru_cache(maxsize=PARSED_MAX)
def _parsed(raw: bytes) -> FieldSet:
    """Most objects of a kind are owned alike, and sets do not change."""
    return FieldSet.from_json(orjson.loads(raw or b"{}"))


def encode(entries: Entries, metadata: meta.ObjectMeta) -> None:
    """Put the entries into the metadata: applies first, then by time and name, as Kubernetes orders them."""
    metadata.ClearField("managed_fields")

    def order(manager: Manager) -> tuple[bool, int, str, str]:
        return manager.operation != APPLY, entries[manager].time_s, manager.name, manager.subresource

    for manager in sorted(entries, key=order):
        entry = entries[manager]
        one = metadata.managed_fields.add(
            manager=manager.name, operation=manager.operation, api_version=manager.api_version,
            fields_type="FieldsV1", subresource=manager.subresource or None,
        )  # fmt: skip
        one.time.seconds = entry.time_s
        one.fields_v1.raw = entry.raw or orjson.dumps(entry.fields.to_json())


def created(manager: Manager, fields: FieldSet) -> Entries:
    """The entries of a new object with these fields."""
    mine = owned(fields)
    return owning(manager, mine) if mine else {}


def owned(fields: FieldSet) -> FieldSet:
    """Those that somebody can own: not what the server writes, nor what names the object."""
    return fields.without(_SERVERS)


def owning(manager: Manager, fields: FieldSet) -> Entries:
    """One manager that owns these from now on."""
    return {manager: Entry(fields, int(time.time()))}


def updated(entries: Entries, manager: Manager, changes: Changes) -> Entries:
    """The entries after an update that changes this."""
    taken = owned(changes.added.union(changes.changed))
    removed = owned(changes.removed)
    if not taken and not removed:
        return entries
    left = _taken_from_others(entries, manager, taken, removed)
    before = entries.get(manager)
    mine = (before.fields if before is not None else EMPTY).union(taken).without(removed)
    if mine:
        left[manager] = Entry(mine, int(time.time()))
    else:
        left.pop(manager, None)
    return _capped(left)


def _taken_from_others(entries: Entries, manager: Manager, taken: FieldSet, removed: FieldSet) -> Entries:
    left: Entries = {}
    for other, entry in entries.items():
        if other == manager:
            left[other] = entry
            continue
        fields = entry.fields.difference(taken).without(removed)
        if fields:
            left[other] = Entry(fields, entry.time_s) if fields != entry.fields else entry
    return left


def _capped(entries: Entries) -> Entries:
    updates = sorted(
        (one for one in entries if one.operation == UPDATE and not one.subresource), key=lambda one: entries[one].time_s
    )
    surplus = updates[: max(0, len(updates) - UPDATERS_MAX + 1)] if len(updates) > UPDATERS_MAX else []
    if not surplus:
        return entries
    left = {manager: entry for manager, entry in entries.items() if manager not in surplus}
    for old in surplus:
        ancient = Manager(ANCIENT, UPDATE, old.api_version)
        known = left.get(ancient)
        fields = entries[old].fields if known is None else known.fields.union(entries[old].fields)
        left[ancient] = Entry(fields, entries[old].time_s)
    return left


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply makes of an object: the tree to be decoded, and the manager's fields."""

    tree: dict[str, Any]
    fields: FieldSet


def apply(entries: Entries, manager: Manager, live: dict[str, Any], config: dict[str, Any], source: Source) -> Applied:
    """Merge a configuration into the live tree. errors.BadRequest where it contradicts itself."""
    try:
        fields = owned(trees.fields(config, source))
        tree = trees.merged(live, config, source)
        before = entries.get(manager)
        if before is not None:
            dropped = before.fields.difference(fields)
            others = EMPTY
            for other, entry in entries.items():
                if other != manager:
                    others = others.union(entry.fields)
            gone = dropped.difference(others.union(fields))
            tree = trees.pruned(tree, _without_owned_below(gone, others.union(fields)), source)
    except ValueError as error:
        raise errors.BadRequest(f"the configuration cannot be applied: {error}") from None
    return Applied(tree, fields)


def _without_owned_below(gone: FieldSet, owned: FieldSet) -> FieldSet:
    """An item stays while somebody owns a part of it."""
    children = {}
    for element, below in gone.children.items():
        theirs = owned.children.get(element)
        left = below if theirs is None else _without_owned_below(below, theirs)
        if theirs is not None and left.member:
            left = FieldSet(children=left.children)
        if left:
            children[element] = left
    return FieldSet(member=gone.member, children=children)


def after_apply(entries: Entries, manager: Manager, applied: FieldSet, changes: Changes, *, force: bool) -> Entries:
    """The entries after an apply that changes this. errors.Conflict names the fields of others that it would change."""
    taken = changes.added.union(changes.changed).intersection(applied)
    conflicts = {
        other: both
        for other, entry in entries.items()
        if other != manager and (both := entry.fields.intersection(taken))
    }
    if conflicts and not force:
        raise _conflict(conflicts)
    removed = owned(changes.removed)
    left = _taken_from_others(entries, manager, taken, removed)
    before = entries.get(manager)
    if before is None or before.fields != applied or taken or removed:
        left[manager] = Entry(applied, int(time.time()))
    if not applied:
        left.pop(manager, None)
    return left


def _conflict(conflicts: dict[Manager, FieldSet]) -> errors.ApiError:
    causes = []
    told: list[str] = []
    for manager, fields in conflicts.items():
        who = f'"{manager.name}"'
        if manager.subresource:
            who += f' with subresource "{manager.subresource}"'
        if manager.operation == UPDATE:
            who += f" using {manager.api_version}"
        paths = [text(path) for path in fields.paths()]
        told.append(
            f"conflict with {who}: {paths[0]}" if len(paths) == 1 else f"conflicts with {who}:\n- " + "\n- ".join(paths)
        )
        causes += [errors.Cause(path, "FieldManagerConflict", f"conflict with {who}") for path in paths]
    count = len(causes)
    start = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: "
    return errors.Conflict(start + "\n".join(told), causes=tuple(causes))
