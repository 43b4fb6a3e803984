"""Follow a selection of objects without end: its whole state, then every change, through any disconnect.

A `Snapshot` comes first (unless a revision to start from is given) and again whenever the server no longer has the
revision to resume from; in between come `Change`s, in order and without gaps. Whoever reads keeps the state and sees
the difference; `raftsman.informer` and `Client.watch` are the two who do. A list is read in pages of PAGE_ITEMS.
After a failure the pause grows from PAUSE_S to PAUSE_MAX_S, jittered, and starts over once a watch has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from raftsman import errors, logs
from raftsman.meta import v1 as meta
from raftsman.resources import Resource

from .transport import Transport
from .types import EventType

T = TypeVar("T")
log = logs.get(__name__)

PAGE_ITEMS = 1000
PAUSE_S = 0.05
PAUSE_MAX_S = 5.0
LIST_TIMEOUT_S = 60.0

_HOPELESS = (errors.BadRequest, errors.Invalid, errors.Unauthorized, errors.Forbidden, errors.MethodNotSupported)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind. `projection`: parse into this message, which shares the first fields of the kind's."""

    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    projection: type[Any] | None = None

    @property
    def message(self) -> type[Any]:
        return self.projection or self.resource.message


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """All selected objects at one revision."""

    objects: list[T]


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    type: EventType
    object: T


async def follow(
    transport: Transport, selection: Selection, *, revision: str = "", patient: bool = False
) -> AsyncGenerator[Snapshot[Any] | Change[Any], None]:
    """Follow `selection`, from `revision` if given. What cannot get better by itself (no permission, a bad selector)
    raises, and so does a server that was not there from the start, unless `patient`; everything else is tried again for
    as long as the iterator is read.
    """
    pause_s = PAUSE_S
    met = patient
    while True:
        try:
            if not revision:
                objects, revision = await _list(transport, selection, met)
                met = True
                yield Snapshot(objects)
                del objects
            async with contextlib.aclosing(_watch(transport, selection, revision, met)) as responses:
                async for response in responses:
                    pause_s, met = PAUSE_S, True
                    for change in response:
                        revision = change.object.metadata.resource_version or revision
                        if change.type is not None:
                            yield Change(change.type, change.object)
        except errors.Expired:
            log.info("revision is gone, listing again", resource=selection.resource.qualified, revision=revision)
            revision = ""
        except errors.ApiError as error:
            if not met or (isinstance(error, _HOPELESS) and not patient):
                raise
            pause_s = max(pause_s, float(error.retry_after_s))
            log.info("watch interrupted", resource=selection.resource.qualified, error=error)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


async def _list(transport: Transport, selection: Selection, met: bool) -> tuple[list[Any], str]:
    """All pages at one revision; if that revision goes away between pages, everything at once."""
    request = meta.ListRequest(
        namespace=selection.namespace,
        label_selector=selection.label_selector,
        field_selector=selection.field_selector,
        limit=PAGE_ITEMS,
    )
    objects: list[Any] = []
    while True:
        try:
            page = await _page(transport, selection, request, met)
        except errors.Expired:
            if not request.continue_token:
                raise
            objects.clear()
            request.continue_token, request.limit = "", 0
            continue
        objects += page.items
        request.continue_token = page.metadata.continue_token
        if not request.continue_token:
            return objects, page.metadata.resource_version


async def _page(transport: Transport, selection: Selection, request: meta.ListRequest, met: bool) -> Any:
    message: Any = selection.resource.list_message
    if selection.projection is meta.PartialObjectMetadata:
        message = meta.PartialObjectMetadataList
    page: Any = await transport.unary(
        f"/{selection.resource.service}/List", request, message,
        read=True, timeout_s=LIST_TIMEOUT_S, wait_for_ready=met,
    )  # fmt: skip
    if selection.projection is not None:
        page.DiscardUnknownFields()
    return page


@dataclass(frozen=True, slots=True)
class _Parsed:
    """An event of a watch; `type` None is a bookmark, which only moves the revision on."""

    type: EventType | None
    object: Any


async def _watch(
    transport: Transport, selection: Selection, revision: str, met: bool
) -> AsyncGenerator[list[_Parsed], None]:
    request = meta.WatchRequest(
        namespace=selection.namespace,
        label_selector=selection.label_selector,
        field_selector=selection.field_selector,
        resource_version=revision,
        allow_bookmarks=True,
    )
    stream = transport.stream(f"/{selection.resource.service}/Watch", request, meta.WatchResponse, wait_for_ready=met)
    async with contextlib.aclosing(stream) as responses:
        async for response in responses:
            yield [_parsed(selection, event) for event in response.events]


def _parsed(selection: Selection, event: meta.WatchedObject) -> _Parsed:
    obj = selection.message.FromString(event.object)
    if selection.projection is not None:
        obj.DiscardUnknownFields()
    if event.type == meta.EVENT_TYPE_BOOKMARK:
        return _Parsed(None, obj)
    return _Parsed(EventType(event.type), obj)
