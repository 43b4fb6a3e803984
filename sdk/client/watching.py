"""Watches for users: changes without end, and waiting for one state.

A watch remembers the last state of what it has shown, so that after a gap it can show what happened meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from raftsman import errors
from raftsman.metadata import Key, key_of

from .reflection import Change, Selection, Snapshot, follow
from .transport import Transport
from .types import Event, EventType


async def events(transport: Transport, selection: Selection, revision: str) -> AsyncGenerator[Event[Any], None]:
    """Every change of the selection. After a relist, the difference to what was shown: an object that was there
    before `revision`, was never shown and is gone is the one thing that cannot be told."""
    shown: dict[Key, Any] = {}
    async with contextlib.aclosing(follow(transport, selection, revision=revision)) as changes:
        async for change in changes:
            if isinstance(change, Change):
                _remember(shown, change)
                yield Event(change.type, change.object)
            else:
                for event in difference(shown, change):
                    yield event
                shown = {key_of(obj): obj for obj in change.objects}


def _remember(shown: dict[Key, Any], change: Change[Any]) -> None:
    if change.type is EventType.DELETED:
        shown.pop(key_of(change.object), None)
    else:
        shown[key_of(change.object)] = change.object


def difference(shown: dict[Key, Any], now: Snapshot[Any]) -> list[Event[Any]]:
    """What must have happened between `shown` and `now`: removals first. An object that was replaced by another of
    its name is a removal and an addition."""
    current = {key_of(obj): obj for obj in now.objects}
    found = [Event(EventType.DELETED, old) for key, old in shown.items() if not _same(old, current.get(key))]
    for key, obj in current.items():
        old = shown.get(key)
        if old is None or not _same(old, obj):
            found.append(Event(EventType.ADDED, obj))
        elif old.metadata.resource_version != obj.metadata.resource_version:
            found.append(Event(EventType.MODIFIED, obj))
    return found


def _same(old: Any, new: Any | None) -> bool:
    return new is not None and old.metadata.uid == new.metadata.uid


async def until(
    transport: Transport, selection: Selection, condition: Callable[[Any | None], bool], *, name: str, timeout_s: float
) -> Any | None:
    """The first state of the selected object, or its absence, of which `condition` holds."""
    try:
        async with asyncio.timeout(timeout_s), contextlib.aclosing(follow(transport, selection)) as changes:
            async for change in changes:
                for obj in _states(change):
                    if condition(obj):
                        return obj
    except TimeoutError:
        kind = selection.resource.kind
        raise errors.Timeout(f"timed out after {timeout_s:g} s waiting for {kind} {name}") from None
    raise AssertionError("a watch has no end")


def _states(change: Snapshot[Any] | Change[Any]) -> list[Any | None]:
    if isinstance(change, Change):
        return [None if change.type is EventType.DELETED else change.object]
    return list(change.objects) or [None]
