"""One watch: the changes that it has not been sent yet, and who gets which.

A watcher holds at most EVENTS_MAX changes; one that falls further behind is closed and told so, and resumes from the
revision it saw last. Each change is encoded once per type, whoever watches.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Iterable

from raftsman.errors import ApiError, Unavailable
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.storage import wire

from .object import CachedObject, item_json, whole_json
from .selection import Selection

EVENTS_MAX = 4096
BATCH_BYTES_MAX = 1 << 20

ADDED = meta.EVENT_TYPE_ADDED
MODIFIED = meta.EVENT_TYPE_MODIFIED
DELETED = meta.EVENT_TYPE_DELETED
BOOKMARK = meta.EVENT_TYPE_BOOKMARK
TYPES: dict[int, str] = {ADDED: "ADDED", MODIFIED: "MODIFIED", DELETED: "DELETED", BOOKMARK: "BOOKMARK"}


class Form(enum.Enum):
    """How a watch's events are written: elements of WatchResponse.events, or Kubernetes' JSON, a line each."""

    PROTOBUF = 0
    JSON = 1


def frame(event_type: int, data: bytes) -> bytes:
    """One element of WatchResponse.events."""
    return wire.framed(0x0A, bytes((0x08, event_type)) + wire.framed(0x12, data))


def line(event_type: int, whole: bytes) -> bytes:
    """One event as a line of JSON."""
    return b'{"type":"%b","object":%b}\n' % (TYPES[event_type].encode(), whole)


class Change:
    """One revision of one object: what it was, what it is."""

    __slots__ = ("_frames", "new", "old", "revision")

    def __init__(self, revision: int, old: CachedObject | None, new: CachedObject | None) -> None:
        self.revision, self.old, self.new = revision, old, new
        self._frames: dict[tuple[int, Form], bytes] = {}

    def frame(self, event_type: int, form: Form) -> bytes:
        """Made once for each form that somebody watches in."""
        found = self._frames.get((event_type, form))
        if found is None:
            found = self._frames[event_type, form] = self._made(event_type, form)
        return found

    def _made(self, event_type: int, form: Form) -> bytes:
        if event_type != DELETED:
            assert self.new is not None
            return of_object(event_type, self.new, form)
        assert self.old is not None
        data = self.old.data_at(self.revision)
        if form is Form.PROTOBUF:
            return frame(DELETED, data)
        kind = self.old.kind
        return line(DELETED, whole_json(kind, item_json(kind.message.FromString(data))))

    def type_for(self, selection: Selection) -> int:
        """What this is to somebody with that selection: 0 if nothing."""
        now = self.new is not None and selection.matches(self.new)
        before = self.old is not None and selection.matches(self.old)
        if now:
            return MODIFIED if before else ADDED
        return DELETED if before else 0


class Watcher:
    """Filled by the cache, drained by one stream."""

    __slots__ = ("_closed", "_frames", "_waiting", "bookmarks", "form", "selection", "since")

    def __init__(self, selection: Selection, *, since: int, bookmarks: bool, form: Form = Form.PROTOBUF) -> None:
        self.selection, self.since, self.bookmarks, self.form = selection, since, bookmarks, form
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._closed: ApiError | None = None

    def offer(self, change: Change) -> None:
        if change.revision <= self.since or self._closed is not None:
            return
        event_type = change.type_for(self.selection)
        if event_type:
            self.push(change.frame(event_type, self.form))

    def push(self, data: bytes) -> None:
        if len(self._frames) >= EVENTS_MAX:
            self.close(Unavailable(f"this watch is more than {EVENTS_MAX} events behind; resume from the last seen"))
            return
        self._frames.append(data)
        self._wake()

    def close(self, error: ApiError) -> None:
        """End the stream with `error` after what is queued; what is queued is dropped if it was too much."""
        if len(self._frames) >= EVENTS_MAX:
            self._frames.clear()
        self._closed = self._closed or error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> bytes:
        """One WatchResponse with all that waits, up to BATCH_BYTES_MAX. Raises what the watch was closed with."""
        while not self._frames:
            if self._closed is not None:
                raise self._closed
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return joined(self._frames)


def joined(frames: deque[bytes]) -> bytes:
    """Take frames off the left, up to BATCH_BYTES_MAX, at least one."""
    if len(frames) == 1:
        return frames.popleft()
    taken, size = [], 0
    while frames and size < BATCH_BYTES_MAX:
        data = frames.popleft()
        taken.append(data)
        size += len(data)
    return b"".join(taken)


def frames_of(objects: Iterable[CachedObject], form: Form = Form.PROTOBUF) -> deque[bytes]:
    """ADDED events for what there is."""
    return deque(of_object(ADDED, found, form) for found in objects)


def of_object(event_type: int, found: CachedObject, form: Form) -> bytes:
    """An event about an object as it is."""
    if form is Form.PROTOBUF:
        return frame(event_type, found.data)
    return line(event_type, whole_json(found.kind, found.json))
