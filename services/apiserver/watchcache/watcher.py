"""One watch: the changes that it has not been sent yet, and who gets which.

A watcher holds at most EVENTS_MAX changes; one that falls further behind is closed and told so, and resumes from the
revision it saw last. Each change is encoded once per type, whoever watches.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from raftsman.errors import ApiError, Unavailable
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage import wire

from .object import CachedObject
from .selection import Selection

EVENTS_MAX = 4096
FLUSHED_MAX = 256
BATCH_BYTES_MAX = 1 << 20

ADDED = meta.EVENT_TYPE_ADDED
MODIFIED = meta.EVENT_TYPE_MODIFIED
DELETED = meta.EVENT_TYPE_DELETED
BOOKMARK = meta.EVENT_TYPE_BOOKMARK
TYPES: dict[int, str] = {ADDED: "ADDED", MODIFIED: "MODIFIED", DELETED: "DELETED", BOOKMARK: "BOOKMARK"}


class Pipe(Protocol):
    """Where a stream's bytes go without waiting."""

    def put(self, data: bytes) -> bool:
        """False if it is full: what was put is on its way, and before more comes `drained` is awaited."""

    async def drained(self) -> None:
        """Return when there is room."""


class Over(Unavailable):
    """Nothing went wrong: the watch ends here, and can be taken up again where it ended."""


class Form(enum.Enum):
    """How events are written: elements of WatchResponse.events, Kubernetes' JSON (a line each) or its protobuf."""

    PROTOBUF = 0
    JSON = 1
    ENVELOPED = 2


def frame(event_type: int, data: bytes) -> bytes:
    """One element of WatchResponse.events."""
    return wire.framed(0x0A, bytes((0x08, event_type)) + wire.framed(0x12, data))


def line(event_type: int, whole: bytes) -> bytes:
    """One event as a line of JSON."""
    return b'{"type":"%b","object":%b}\n' % (TYPES[event_type].encode(), whole)


def enveloped(event_type: int, kind: Kind, data: bytes) -> bytes:
    """One event in Kubernetes' protobuf framing: four bytes of length, big-endian, and a WatchEvent."""
    event = meta.WatchEvent(type=TYPES[event_type])
    event.object.raw = wire.enveloped(kind.resource.api_version, kind.resource.kind, data)
    made = event.SerializeToString()
    return len(made).to_bytes(4, "big") + made


class Change:
    """One revision of one object: what it was, what it is."""

    __slots__ = ("_frames", "_shown", "_views", "new", "old", "revision")

    def __init__(self, revision: int, old: CachedObject | None, new: CachedObject | None) -> None:
        self.revision, self.old, self.new = revision, old, new
        self._frames: dict[tuple[int, Form], bytes] = {}
        self._views: dict[str, Change] | None = None
        self._shown: dict[tuple[int, Form, object], bytes] | None = None

    @property
    def views(self) -> dict[str, Change]:
        """The same change in other versions of its kind."""
        if self._views is None:
            self._views = {}
        return self._views

    @property
    def shown(self) -> dict[tuple[int, Form, object], bytes]:
        """Events of kinds with conversions, by the kind's form."""
        if self._shown is None:
            self._shown = {}
        return self._shown

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
        data, kind = self.old.data_at(self.revision), self.old.kind
        if form is Form.PROTOBUF:
            return frame(DELETED, data)
        if form is Form.ENVELOPED:
            return enveloped(DELETED, kind, data)
        return line(DELETED, kind.form.whole(kind.form.item(data)))

    def type_for(self, selection: Selection) -> int:
        """What this is to somebody with that selection: 0 if nothing."""
        now = self.new is not None and selection.matches(self.new)
        before = self.old is not None and selection.matches(self.old)
        if now:
            return MODIFIED if before else ADDED
        return DELETED if before else 0


async def shown(change: Change, event_type: int, kind: Kind, form: Form) -> bytes:
    """The event as `kind` shows it: made once for each kind and form."""
    assert kind.conversions is not None
    key = (event_type, form, kind.form)
    found = change.shown.get(key)
    if found is None:
        old = (await kind.conversions.seen(kind, (change.old,)))[0] if change.old is not None else None
        new = (await kind.conversions.seen(kind, (change.new,)))[0] if change.new is not None else None
        found = change.shown[key] = Change(change.revision, old, new).frame(event_type, form)
    return found


class _Flush:
    """Hands what came in to the pipes of many watchers, FLUSHED_MAX a turn, all that waits for one in one piece."""

    def __init__(self) -> None:
        self._dirty: deque[Watcher] = deque()

    def add(self, watcher: Watcher) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._run)
        self._dirty.append(watcher)

    def _run(self) -> None:
        for _ in range(min(FLUSHED_MAX, len(self._dirty))):
            self._dirty.popleft().flush()
        if self._dirty:
            asyncio.get_running_loop().call_soon(self._run)


_flush = _Flush()


class Watcher:
    """Filled by the cache, drained by one stream: by `next`, or with less work for each event by `run`."""

    __slots__ = (
        "_closed", "_dirty", "_frames", "_full", "_pipe", "_waiting", "bookmarks", "form", "selection", "since",
        "view",
    )  # fmt: skip

    def __init__(self, selection: Selection, *, since: int, bookmarks: bool, form: Form = Form.PROTOBUF) -> None:
        self.selection, self.since, self.bookmarks, self.form = selection, since, bookmarks, form
        # In which version it sees objects; None if in the one that is stored.
        self.view: Kind | None = None
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._closed: ApiError | None = None
        self._pipe: Pipe | None = None
        self._dirty = self._full = False

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
        if self._pipe is None or self._full or self._closed is not None:
            self._resolve()
        elif not self._dirty:
            self._dirty = True
            _flush.add(self)

    def _resolve(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _woken(self) -> None:
        if self._closed is not None:
            raise self._closed
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    async def next(self) -> bytes:
        """One WatchResponse with all that waits, up to BATCH_BYTES_MAX. Raises what the watch was closed with."""
        while not self._frames:
            await self._woken()
        return joined(self._frames)

    async def run(self, pipe: Pipe) -> None:
        """Put everything into a pipe, at the end of its turn. Raises what the watch was closed with."""
        self._pipe = pipe
        try:
            while True:
                self.flush()
                if self._full:
                    await pipe.drained()
                    self._full = False
                elif not self._frames:
                    await self._woken()
        finally:
            self._pipe = None

    def flush(self) -> None:
        """Put what waits into the pipe, unless it is full."""
        self._dirty = False
        while self._frames and self._pipe is not None and not self._full:
            self._full = not self._pipe.put(joined(self._frames))
        if self._full:
            self._resolve()


class Converting(Watcher):
    """A watcher of a kind with views: what it holds are changes, which become events when the stream takes them."""

    __slots__ = ("_changes",)

    def __init__(
        self, selection: Selection, kind: Kind, *, since: int, bookmarks: bool, form: Form = Form.PROTOBUF
    ) -> None:
        super().__init__(selection, since=since, bookmarks=bookmarks, form=form)
        self.view = kind
        self._changes: deque[tuple[int, Change] | bytes] = deque()

    def offer(self, change: Change) -> None:
        if change.revision <= self.since or self._closed is not None:
            return
        event_type = change.type_for(self.selection)
        if event_type:
            self._add((event_type, change))

    def push(self, data: bytes) -> None:
        self._add(data)

    def _add(self, what: tuple[int, Change] | bytes) -> None:
        if len(self._changes) >= EVENTS_MAX:
            self._changes.clear()
            self.close(Unavailable(f"this watch is more than {EVENTS_MAX} events behind; resume from the last seen"))
            return
        self._changes.append(what)
        self._wake()

    async def next(self) -> bytes:
        while not self._changes:
            await self._woken()
        assert self.view is not None
        frames: list[bytes] = []
        size = 0
        while self._changes and size < BATCH_BYTES_MAX:
            what = self._changes[0]
            data = what if isinstance(what, bytes) else await shown(what[1], what[0], self.view, self.form)
            self._changes.popleft()
            frames.append(data)
            size += len(data)
        return b"".join(frames)

    async def run(self, pipe: Pipe) -> None:
        while True:
            if not pipe.put(await self.next()):
                await pipe.drained()


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
    if form is Form.ENVELOPED:
        return enveloped(event_type, found.kind, found.data)
    return line(event_type, found.kind.form.whole(found.json))
