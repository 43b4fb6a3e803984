"""etcd's nine promises about watches, held against the changes that a linearizable history made.

ordered       events come by revision
unique        no event comes twice
reliable      between the first and the last event none is missing, and each says what happened
atomic        the events of one revision come in one message (or in its fragments)
resumable     a watch that starts again behind the last revision that it got misses nothing
bookmarkable  behind a progress notification nothing comes that is not newer, and nothing older was withheld
prevKV        the value before, when it was asked for
isCreate      create and modification revision are the same exactly when the key is new
filter        nothing comes that was not asked for
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raftsman.etcd import kv_pb2, rpc_pb2

from .model import inside

_Event = kv_pb2.Event
_Create = rpc_pb2.WatchCreateRequest
Changes = Mapping[int, Sequence[_Event]]


@dataclass(slots=True)
class Session:
    """One watch on one stream: what was asked and what came, in order, the answer to the creation first."""

    request: _Create
    responses: list[rpc_pb2.WatchResponse] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The first revision that it promises."""
        if self.request.start_revision > 0:
            return self.request.start_revision
        return next((each.header.revision + 1 for each in self.responses if each.created), 0)


@dataclass(slots=True)
class Watched:
    """A watcher that started again whenever its stream broke. The sessions differ only in their start."""

    name: str
    sessions: list[Session] = field(default_factory=list)

    def resume_from(self) -> int:
        """The start revision of the next session: behind everything that came; 0 before anything did."""
        for session in reversed(self.sessions):
            for response in reversed(session.responses):
                if response.compact_revision:
                    return response.compact_revision
                if response.events and not response.fragment:
                    return response.events[-1].kv.mod_revision + 1
                if _is_progress(response):
                    return response.header.revision + 1
            if session.first:
                return session.first
        return 0


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was not kept."""

    promise: str
    sentence: str


def check_watch(watched: Watched, changes: Changes, *, compacted: int = 0, up_to: int = 0) -> list[Breach]:
    """Hold what a watcher got against what happened.

    Older values than revision `compacted` may be missing as previous ones. Everything up to `up_to` must have come.
    """
    return list(_Audit(watched, changes, compacted).run(up_to))


def _is_progress(response: rpc_pb2.WatchResponse) -> bool:
    return not (response.events or response.created or response.canceled)


class _Audit:
    """Walks through the sessions; `_next` is the first revision whose events did not come yet."""

    def __init__(self, watched: Watched, changes: Changes, compacted: int) -> None:
        self._watched = watched
        self._changes = changes
        self._compacted = compacted
        self._next = 0
        self._bookmark = 0
        self._seen: set[tuple[int, bytes, int]] = set()

    def run(self, up_to: int) -> Iterator[Breach]:
        compacted = 0
        for session in self._watched.sessions:
            first = session.first
            if not first:
                continue
            if self._next:
                # What was compacted away meanwhile may be skipped, and no more than that.
                self._next = max(self._next, min(first, compacted))
                yield from self._missing(session, first, "resumable")
            self._next = max(self._next, first)
            yield from self._session(session, first)
            compacted = max([compacted, *(response.compact_revision for response in session.responses)])
        if self._watched.sessions and self._next:
            yield from self._missing(self._watched.sessions[-1], up_to + 1, "reliable")

    def _session(self, session: Session, first: int) -> Iterator[Breach]:
        pieces: list[_Event] = []
        for response in session.responses:
            if response.events:
                pieces += response.events
                if not response.fragment:
                    yield from self._message(session, pieces, first)
                    pieces = []
            elif _is_progress(response):
                yield from self._missing(session, response.header.revision + 1, "bookmarkable")
                self._bookmark = response.header.revision

    def _message(self, session: Session, events: list[_Event], first: int) -> Iterator[Breach]:
        """The events of one message, its fragments put together."""
        before = events[0].kv.mod_revision
        for event in events:
            revision = event.kv.mod_revision
            if revision < before:
                yield Breach("ordered", f"{_name(event)} came after revision {before}")
            before = max(before, revision)
        for revision in sorted({event.kv.mod_revision for event in events}):
            yield from self._revision(session, revision, [e for e in events if e.kv.mod_revision == revision], first)

    def _revision(self, session: Session, revision: int, events: list[_Event], first: int) -> Iterator[Breach]:
        if revision < first:
            yield Breach("filter", f"{_name(events[0])} came though revision {first} was the first asked for")
            return
        if revision <= self._bookmark:
            yield Breach("bookmarkable", f"{_name(events[0])} came behind a bookmark of {self._bookmark}")
        wanted = {change.kv.key: change for change in self._wanted(session, revision)}
        yield from self._repeated(session, revision, events)
        if revision >= self._next:
            yield from self._missing(session, revision, "reliable")
            got = {event.kv.key for event in events}
            for key in wanted:
                if key not in got:
                    yield Breach("atomic", f"{key!r} of revision {revision} did not come with the rest of it")
            self._next = revision + 1
        for event in events:
            yield from self._event(session, event, wanted.get(event.kv.key))

    def _repeated(self, session: Session, revision: int, events: list[_Event]) -> Iterator[Breach]:
        late = revision < self._next
        for event in events:
            identity = (revision, event.kv.key, event.type)
            if identity in self._seen:
                yield Breach("unique", f"{_name(event)} came twice")
            elif late:
                yield Breach("ordered", f"{_name(event)} came when revision {self._next - 1} had come")
            self._seen.add(identity)

    def _event(self, session: Session, event: _Event, change: _Event | None) -> Iterator[Breach]:
        request = session.request
        if not _asked(request, event):
            yield Breach("filter", f"{_name(event)} was not asked for")
            return
        if change is None or (event.type, event.kv.value) != (change.type, change.kv.value):
            yield Breach("reliable", f"{_name(event)} never happened")
            return
        if event.type == _Event.PUT and (event.kv.create_revision == event.kv.mod_revision) != (
            not change.HasField("prev_kv")
        ):
            yield Breach("isCreate", f"{_name(event)} was created at {event.kv.create_revision}")
        elif event.kv != change.kv:
            yield Breach("reliable", f"{_name(event)} says {event.kv}, it was {change.kv}")
        yield from self._previous(request, event, change)

    def _previous(self, request: _Create, event: _Event, change: _Event) -> Iterator[Breach]:
        if not request.prev_kv:
            if event.HasField("prev_kv"):
                yield Breach("prevKV", f"{_name(event)} has a previous value that was not asked for")
        elif event.HasField("prev_kv") != change.HasField("prev_kv"):
            gone = change.HasField("prev_kv") and change.prev_kv.mod_revision < self._compacted
            if not gone:
                yield Breach("prevKV", f"{_name(event)} should {'' if change.HasField('prev_kv') else 'not '}have one")
        elif event.prev_kv != change.prev_kv:
            yield Breach("prevKV", f"{_name(event)} says {event.prev_kv}, it was {change.prev_kv}")

    def _wanted(self, session: Session, revision: int) -> list[_Event]:
        return [change for change in self._changes.get(revision, ()) if _asked(session.request, change)]

    def _missing(self, session: Session, end: int, promise: str) -> Iterator[Breach]:
        """What should have come before revision `end`. Told once."""
        for revision in range(self._next, end):
            for change in self._wanted(session, revision):
                yield Breach(promise, f"{_name(change)} is missing")
        self._next = max(self._next, end)


def _asked(request: _Create, event: _Event) -> bool:
    unwanted = _Create.NOPUT if event.type == _Event.PUT else _Create.NODELETE
    key = request.key or b"\0"
    return unwanted not in request.filters and inside(event.kv.key, key, request.range_end)


def _name(event: _Event) -> str:
    return f"{_Event.EventType.Name(event.type).lower()} {event.kv.key!r} at revision {event.kv.mod_revision}"
