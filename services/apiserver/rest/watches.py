"""A watch over HTTP: the verb's messages taken apart, each event written in the framing that was asked for.

JSON events stand one a line; protobuf events have their length before them, four bytes, big-endian. What ends a watch
after it has begun is told in an ERROR event.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from raftsman import codec, errors
from raftsman.meta import v1 as meta
from raftsman.runtime import v1 as runtime
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage import wire
from raftsman.services.apiserver.watchcache.watcher import TYPES, Form, Over

from . import documents, media
from .http import Exchange, Request
from .media import View, Wanted
from .requests import integer

TIMEOUT_S = 1800


class Events:
    """Writes one watch's events to an exchange, which begins with the first or with `begin`."""

    def __init__(self, exchange: Exchange, kind: Kind, wanted: Wanted, *, include: str) -> None:
        self._exchange, self._kind, self._wanted, self._include = exchange, kind, wanted, include
        self._headed = True

    def begin(self) -> None:
        if not self._exchange.begun:
            stream = ";stream=watch" if self._wanted.media == media.PROTOBUF else ""
            self._exchange.begin(self._wanted.media + stream)

    @property
    def form(self) -> Form:
        """In which the events should come: those of whole objects go out as they come."""
        if self._wanted.view is not View.WHOLE:
            return Form.PROTOBUF
        return {media.JSON: Form.JSON, media.PROTOBUF: Form.ENVELOPED}.get(self._wanted.media, Form.PROTOBUF)

    async def write(self, raw: bytes) -> None:
        """The events of one WatchResponse, or events that are written already."""
        if not self.put(raw):
            await self.drained()

    def put(self, raw: bytes) -> bool:
        """The same without waiting for the reader; false if he is behind."""
        self.begin()
        return self._exchange.put(raw if self.form is not Form.PROTOBUF else self._taken_apart(raw))

    async def drained(self) -> None:
        await self._exchange.drained()

    def _taken_apart(self, raw: bytes) -> bytes:
        events = meta.WatchResponse.FromString(raw).events
        return b"".join(self._event(TYPES[event.type], event.object) for event in events)

    async def fail(self, error: errors.ApiError) -> None:
        self.begin()
        if self._wanted.media == media.PROTOBUF:
            await self._exchange.write(
                _framed("ERROR", wire.enveloped("v1", "Status", error.status.SerializeToString()))
            )
        else:
            await self._exchange.write(_line("ERROR", codec.to_json(error.status)))

    def _event(self, type_: str, data: bytes) -> bytes:
        kind, view = self._kind, self._wanted.view
        message = kind.form.parse(data)
        if view is View.TABLE:
            metadata = {"resourceVersion": message.metadata.resource_version}
            tree = documents.table(kind, [message], metadata, self._include, headed=self._headed)
            self._headed = False
            if type_ == "BOOKMARK":
                tree["rows"] = []
            return _line(type_, tree)
        if view is View.METADATA:
            return _line(type_, documents.partial(message))
        return _line(type_, kind.form.tree(message))


def _line(type_: str, tree: Any) -> bytes:
    return documents.dumped({"type": type_, "object": tree}) + b"\n"


def _framed(type_: str, enveloped: bytes) -> bytes:
    event = meta.WatchEvent(type=type_, object=runtime.RawExtension(raw=enveloped))
    data = event.SerializeToString()
    return len(data).to_bytes(4, "big") + data


async def serve(request: Request, exchange: Exchange, events: Events, run: Any) -> None:
    """Run a watch until its time is over, its reader goes, or it fails. `run` takes the function that writes."""
    seconds = integer(request, "timeoutSeconds") or TIMEOUT_S
    # The head goes out before the first event: clients wait for it.
    begun = asyncio.get_running_loop().call_later(0.01, events.begin)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await run(events.write)
    except Over:
        events.begin()
    except errors.Expired as error:
        await events.fail(error)
    except errors.ApiError as error:
        if not exchange.begun:
            raise
        await events.fail(error)
    finally:
        begun.cancel()
    events.begin()
    exchange.end()
