"""Watch: ordered, unique, gap-free changes, or an answer that the revision is gone.

A stream has a reader (this RPC's own task) and a sender. The sender takes each pending watch in turn, sends one batch,
and waits until gRPC took it, so that nothing piles up for a slow client: it lags, and compaction ends what lags too
far. Bounds: WATCHES_MAX a stream, CONTROL_MAX answers waiting, BATCH_CHANGES and BATCH_BYTES a message (a revision is
never split, unless the client allows fragments).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from raftsman import logs
from raftsman.etcd import kv_pb2, rpc_pb2, rpc_pb2_grpc
from raftsman.store import errors
from raftsman.store.mvcc import watchers
from raftsman.store.mvcc.records import Change
from raftsman.store.mvcc.state import FIRST_REVISION
from raftsman.store.raft import events

from .answers import Answers, Context

WATCHES_MAX = 10_000
CONTROL_MAX = 1_000
BATCH_CHANGES = 1_000
BATCH_BYTES = 1 << 20
FRAGMENT_BYTES = 3 << 19
PROGRESS_S = 600.0
BROADCAST_ID = -1

log = logs.get(__name__)
_Create = rpc_pb2.WatchCreateRequest


class Watch(rpc_pb2_grpc.WatchServicer):
    """Every watch stream of this member; an observer of the replica."""

    def __init__(self, answers: Answers, *, progress_s: float = PROGRESS_S) -> None:
        self._answers = answers
        self._replica = answers.replica
        self._progress_s = progress_s
        self._watchers = watchers.Watchers()
        self._owners: dict[watchers.Watch, _Stream] = {}
        self._streams: set[_Stream] = set()
        self._replica.observers.append(self)

    async def Watch(  # type: ignore[override]
        self, request_iterator: AsyncIterator[rpc_pb2.WatchRequest], context: Context
    ) -> None:
        """One stream, until either side ends it."""
        stream = _Stream(self, self._answers, context, progress_s=self._progress_s)
        self._streams.add(stream)
        stopped = False
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(stream.send_all(context))
                async for request in request_iterator:
                    await stream.handle(request)
                sender.cancel()
        except* errors.StoreError:
            stopped = True
        finally:
            self._streams.discard(stream)
            for watch in stream.watches.values():
                self.forget(watch)
        if stopped:
            error = errors.stopped()
            await context.abort(error.code, error.text)

    @property
    def count(self) -> int:
        return len(self._watchers)

    def enlist(self, stream: _Stream, watch: watchers.Watch) -> None:
        self._watchers.add(watch)
        self._owners[watch] = stream

    def forget(self, watch: watchers.Watch) -> None:
        self._watchers.remove(watch)
        self._owners.pop(watch, None)

    def close(self) -> None:
        """End every stream: the member stops."""
        for stream in self._streams:
            stream.stop()

    # -- replica.Observer

    def changed(self, first: int, last: int) -> None:
        for watch in self._watchers.changed(self._replica.state.history, first=first, last=last):
            self._owners[watch].wake()

    def compacted(self, revision: int) -> None:
        """Nothing to do: a watch that compaction overtook finds out when it reads."""

    def replaced(self) -> None:
        """Everything since the last revision that was sent may be new."""
        for watch in self._watchers.all():
            if watch.pending is None:
                watch.pending = self._owners[watch].seen + 1
            self._owners[watch].wake()

    def led(self, role: events.Role) -> None:
        """Watches do not depend on the leader."""

    def lease_changed(self, lease_id: int) -> None:
        """Nor on leases."""


class _Stream:
    """The watches of one RPC and the answers on their way. `seen` is the newest revision that was looked at."""

    def __init__(self, service: Watch, answers: Answers, context: Context, *, progress_s: float) -> None:
        self._service = service
        self._context = context
        self._answers = answers
        self._replica = answers.replica
        self._progress_s = progress_s
        self._control: deque[rpc_pb2.WatchResponse] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._progress_asked = False
        self._stopped = False
        self._next_id = 0
        self.seen = self._replica.state.revision
        self.watches: dict[int, watchers.Watch] = {}

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    # -- what the client asks

    async def handle(self, request: rpc_pb2.WatchRequest) -> None:
        await self._room.wait()
        kind = request.WhichOneof("request_union")
        if kind == "create_request":
            self._create(request.create_request, await self._not_permitted(request.create_request))
        elif kind == "cancel_request":
            watch = self.watches.pop(request.cancel_request.watch_id, None)
            if watch is not None:
                self._service.forget(watch)
                self._answer(rpc_pb2.WatchResponse(watch_id=watch.id, canceled=True))
        elif kind == "progress_request":
            self._progress_asked = True
            self.wake()

    async def _not_permitted(self, request: _Create) -> str:
        """Why this watch is refused, as a Go client expects it; "" when it is not. Later changes end no watch."""
        try:
            who = await self._answers.identity.permit(self._context)
            self._replica.state.auth.check_read(who, request.key or b"\0", request.range_end)
        except errors.StoreError as error:
            code = error.code.name.title().replace("_", "")
            return f"rpc error: code = {code} desc = {error.text}"
        return ""

    def _create(self, request: _Create, not_permitted: str) -> None:
        watch_id = request.watch_id or self._free_id()
        reason = not_permitted or self._refusal(request, watch_id)
        if reason:
            answer = rpc_pb2.WatchResponse(watch_id=BROADCAST_ID, created=True, canceled=True, cancel_reason=reason)
            self._answer(answer)
            return
        state = self._replica.state
        watch = watchers.Watch(
            id=watch_id,
            key=request.key or b"\0",
            range_end=request.range_end,
            start=max(0, request.start_revision),
            prev_kv=request.prev_kv,
            puts=_Create.NOPUT not in request.filters,
            deletes=_Create.NODELETE not in request.filters,
            progress=request.progress_notify,
            fragment=request.fragment,
        )
        if 0 < watch.start <= state.revision:
            watch.pending = max(watch.start, FIRST_REVISION + 1)
        elif not watch.start:
            watch.start = state.revision + 1
        self.watches[watch_id] = watch
        self._service.enlist(self, watch)
        self._answer(rpc_pb2.WatchResponse(watch_id=watch_id, created=True))
        if 0 < watch.start < state.compacted:
            self._control.append(self._overtaken(watch))

    def _refusal(self, request: _Create, watch_id: int) -> str:
        if watch_id in self.watches:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        if len(self.watches) >= WATCHES_MAX:
            return f"a stream carries at most {WATCHES_MAX} watches"
        if request.range_end and request.range_end != b"\0" and request.range_end <= request.key:
            return "mvcc: range is empty"
        return ""

    def _free_id(self) -> int:
        while self._next_id in self.watches:
            self._next_id += 1
        return self._next_id

    def _answer(self, response: rpc_pb2.WatchResponse) -> None:
        self._answers.complete(response.header)
        self._control.append(response)
        if len(self._control) >= CONTROL_MAX:
            self._room.clear()
        self.wake()

    # -- what is sent

    async def send_all(self, context: Context) -> None:
        """Send until the stream ends. Raises `stopped` when the member stops."""
        while True:
            quiet = await self._wait()
            if self._stopped:
                raise errors.stopped()
            while self._control:
                await context.write(self._control.popleft())
            self._room.set()
            for response in self._events():
                await context.write(response)
            if not any(watch.pending is not None for watch in self.watches.values()):
                await self._send_progress(context, quiet=quiet)
            else:
                self.wake()

    async def _wait(self) -> bool:
        """Wait for something to send; True when it was quiet long enough for progress notifications."""
        if not any(watch.progress for watch in self.watches.values()):
            await self._wake.wait()
        else:
            try:
                async with asyncio.timeout(self._progress_s):
                    await self._wake.wait()
            except TimeoutError:
                return True
        self._wake.clear()
        return False

    def _events(self) -> Iterator[rpc_pb2.WatchResponse]:
        """One batch of every watch that has something; watches that compaction overtook end."""
        for watch in list(self.watches.values()):
            if watch.pending is None or watch.id not in self.watches:
                continue
            state = self._replica.state
            if watch.pending < state.history.first:
                yield self._overtaken(watch)
                continue
            batch = watchers.collect(watch, state.history, changes_max=BATCH_CHANGES, bytes_max=BATCH_BYTES)
            if batch.changes:
                yield from self._responses(watch, batch)

    def _overtaken(self, watch: watchers.Watch) -> rpc_pb2.WatchResponse:
        del self.watches[watch.id]
        self._service.forget(watch)
        response = rpc_pb2.WatchResponse(
            watch_id=watch.id,
            canceled=True,
            compact_revision=max(self._replica.state.compacted, 1),
            cancel_reason=errors.compacted().text,
        )
        self._answers.complete(response.header)
        return response

    def _responses(self, watch: watchers.Watch, batch: watchers.Batch) -> Iterator[rpc_pb2.WatchResponse]:
        events_ = [_event(watch, change) for change in batch.changes]
        pieces = list(_fragments(events_)) if watch.fragment else [events_]
        for place, piece in enumerate(pieces):
            response = rpc_pb2.WatchResponse(watch_id=watch.id, fragment=place + 1 < len(pieces), events=piece)
            response.header.revision = batch.revision
            self._answers.complete(response.header)
            yield response

    async def _send_progress(self, context: Context, *, quiet: bool) -> None:
        """Everything up to the store's revision was sent: say so to whoever asked, or wants to hear."""
        self.seen = self._replica.state.revision
        if self._progress_asked and not self._control:
            self._progress_asked = False
            await context.write(rpc_pb2.WatchResponse(header=self._answers.header(), watch_id=BROADCAST_ID))
        if quiet:
            for watch in [watch for watch in self.watches.values() if watch.progress and watch.pending is None]:
                await context.write(rpc_pb2.WatchResponse(header=self._answers.header(), watch_id=watch.id))


def _event(watch: watchers.Watch, change: Change) -> kv_pb2.Event:
    event = kv_pb2.Event(
        type=kv_pb2.Event.PUT if change.record.version else kv_pb2.Event.DELETE, kv=change.record.message()
    )
    if watch.prev_kv and change.previous is not None:
        event.prev_kv.CopyFrom(change.previous.message())
    return event


def _fragments(events_: list[kv_pb2.Event]) -> Iterator[list[kv_pb2.Event]]:
    piece: list[kv_pb2.Event] = []
    size = 0
    for event in events_:
        if piece and size + event.ByteSize() > FRAGMENT_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(event)
        size += event.ByteSize()
    yield piece
