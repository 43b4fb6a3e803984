"""Watch: ordered, unique, gap-free changes, or an answer that the revision is gone.

A stream has a reader (this RPC's own task) and a sender. The sender takes each pending watch in turn, sends one batch,
and waits until gRPC took it, so that nothing piles up for a slow client: it lags, and compaction ends what lags too
far. Bounds: WATCHES_MAX a stream, CONTROL_MAX answers waiting; see events.py for what a message holds.
A stream that asks for a leader ends when there was none for NO_LEADER_S.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import grpc
import grpc.aio
from raftsman import logs
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.store import errors
from raftsman.store.mvcc import watchers
from raftsman.store.mvcc.state import FIRST_REVISION
from raftsman.store.raft import events as raft

from . import events, ready
from .answers import Answers, Context, requires_leader
from .departures import ends_with_its_client

WATCHES_MAX = 10_000
CONTROL_MAX = 1_000
PROGRESS_S = 600.0
NO_LEADER_S = 3.0
NO_ID = -1
"""In place of a watch's id: the answer is about none, or about all of them."""

log = logs.get(__name__)
_Create = rpc_pb2.WatchCreateRequest
_Response = rpc_pb2.WatchResponse


class Watch(rpc_pb2_grpc.WatchServicer):
    """Every watch stream of this member; an observer of the replica. `looked` is the revision that watches know."""

    def __init__(self, answers: Answers, *, progress_s: float = PROGRESS_S, no_leader_s: float = NO_LEADER_S) -> None:
        self.answers = answers
        self.shared = events.Shared()
        self.progress_s = progress_s
        self._no_leader_s = no_leader_s
        self._replica = answers.replica
        self._looked = 0
        self._watchers = watchers.Watchers()
        self._owners: dict[watchers.Watch, _Stream] = {}
        self._streams: dict[_Stream, None] = {}
        self._leaderless: asyncio.TimerHandle | None = None
        self._replica.observers.append(self)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve on a server. Not by the generated function, which cannot send what is bytes already."""
        service = rpc_pb2.DESCRIPTOR.services_by_name["Watch"]
        method = grpc.stream_stream_rpc_method_handler(
            self.Watch, request_deserializer=rpc_pb2.WatchRequest.FromString, response_serializer=ready.serialize
        )
        handlers = {each.name: method for each in service.methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    @ends_with_its_client
    async def Watch(  # type: ignore[override]
        self, request_iterator: AsyncIterator[rpc_pb2.WatchRequest], context: Context
    ) -> None:
        """One stream, until either side ends it."""
        stream = _Stream(self, context, needs_leader=requires_leader(context))
        refused: errors.StoreError | None = None
        self._streams[stream] = None
        try:
            if stream.needs_leader and self._replica.role.leader is None:
                raise errors.no_leader()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stream.send_all())
                try:
                    async for request in request_iterator:
                        await stream.handle(request)
                    stream.end(None)
                except errors.StoreError as error:
                    stream.end(error)
        except* errors.StoreError as group:
            refused = next(error for error in group.exceptions if isinstance(error, errors.StoreError))
        finally:
            self._streams.pop(stream, None)
            stream.close()
        if refused is not None:
            await context.abort(refused.code, refused.text)

    @property
    def count(self) -> int:
        return len(self._watchers)

    @property
    def streams(self) -> int:
        return len(self._streams)

    def enlist(self, stream: _Stream, watch: watchers.Watch) -> None:
        self._looked = max(self._looked, self._replica.state.revision)
        self._watchers.add(watch)
        self._owners[watch] = stream

    def forget(self, watch: watchers.Watch) -> None:
        self._watchers.remove(watch)
        self._owners.pop(watch, None)

    def close(self) -> None:
        """End every stream: the member stops."""
        if self._leaderless is not None:
            self._leaderless.cancel()
        for stream in self._streams:
            stream.end(errors.stopped())

    # -- replica.Observer

    def changed(self, first: int, last: int) -> None:
        self._looked = last
        for watch in self._watchers.changed(self._replica.state.history, first=first, last=last):
            self._owners[watch].wake(watch)

    def compacted(self, revision: int) -> None:
        """Nothing to do: a watch that compaction overtook finds out when it reads."""

    def replaced(self) -> None:
        """Everything since the last revision that was looked at may be new."""
        self.shared.clear()
        for watch in self._watchers.all():
            if watch.pending is None:
                watch.pending = max(self._looked + 1, watch.start)
            self._owners[watch].wake(watch)
        self._looked = self._replica.state.revision

    def led(self, role: raft.Role) -> None:
        if role.leader is not None and self._leaderless is not None:
            self._leaderless.cancel()
            self._leaderless = None
        elif role.leader is None and self._leaderless is None:
            self._leaderless = asyncio.get_running_loop().call_later(self._no_leader_s, self._lost_leader)

    def _lost_leader(self) -> None:
        for stream in self._streams:
            if stream.needs_leader:
                stream.end(errors.no_leader())

    def lease_changed(self, lease_id: int) -> None:
        """Watches do not depend on leases."""


class _Stream:
    """The watches of one RPC and the answers on their way.

    `_ready` are the watches that have something to send, first come, first served: exactly those with `pending` set.
    None among them is a client that asked for progress: it is answered when all were sent what there was when it asked.
    """

    def __init__(self, service: Watch, context: Context, *, needs_leader: bool) -> None:
        self.needs_leader = needs_leader
        self._service = service
        self._context = context
        self._answers = service.answers
        self._replica = service.answers.replica
        self._watches: dict[int, watchers.Watch] = {}
        self._ready: dict[watchers.Watch | None, None] = {}
        self._control: deque[_Response] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._refused: errors.StoreError | None = None
        self._asked = 0  # progress, up to here at least
        self._quiet: deque[watchers.Watch] = deque()  # watches to be told that nothing happened
        self._ticking: asyncio.TimerHandle | None = None
        self._next_id = 0

    def wake(self, watch: watchers.Watch) -> None:
        self._ready[watch] = None
        self._wake.set()

    def end(self, error: errors.StoreError | None) -> None:
        """Break off, whatever waits, but for what is being written: a call whose writer was cancelled never ends."""
        if not self._ended:
            self._ended, self._refused = True, error
            self._wake.set()

    def close(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        for watch in self._watches.values():
            self._service.forget(watch)

    # -- what the client asks

    async def handle(self, request: rpc_pb2.WatchRequest) -> None:
        await self._room.wait()
        kind = request.WhichOneof("request_union")
        if kind == "create_request":
            self._create(request.create_request, await self._not_permitted(request.create_request))
        elif kind == "cancel_request":
            watch = self._watches.get(request.cancel_request.watch_id)
            if watch is not None:
                self._drop(watch)
                self._answer(_Response(watch_id=watch.id, canceled=True))
        elif kind == "progress_request":
            self._asked = self._replica.state.revision
            self._ready[None] = None
            self._wake.set()

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
        reason = not_permitted or self._refusal(request)
        if reason:
            self._answer(_Response(watch_id=NO_ID, created=True, canceled=True, cancel_reason=reason))
            return
        state = self._replica.state
        watch = watchers.Watch(
            id=request.watch_id or self._free_id(),
            key=request.key or b"\0",
            range_end=request.range_end,
            start=request.start_revision or state.revision + 1,
            prev_kv=request.prev_kv,
            puts=_Create.NOPUT not in request.filters,
            deletes=_Create.NODELETE not in request.filters,
            progress=request.progress_notify,
            fragment=request.fragment,
        )
        self._watches[watch.id] = watch
        self._service.enlist(self, watch)
        self._answer(_Response(watch_id=watch.id, created=True))
        if watch.start < state.compacted:
            self._control.append(self._overtaken(watch))
        elif watch.start <= state.revision:
            watch.pending = max(watch.start, FIRST_REVISION + 1)
            if watch.pending <= state.revision:
                self.wake(watch)
            else:
                watch.pending = None
        if watch.progress and self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(self._service.progress_s, self._tick)

    def _refusal(self, request: _Create) -> str:
        key, range_end = request.key or b"\0", request.range_end
        if request.start_revision < 0:
            return errors.compacted().text
        if range_end and range_end != b"\0" and range_end <= key:
            return "mvcc: watcher range is empty"
        if request.watch_id in self._watches and request.watch_id:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        if len(self._watches) >= WATCHES_MAX:
            return f"a stream carries at most {WATCHES_MAX} watches"
        return ""

    def _free_id(self) -> int:
        """An id that was not given before: answers of a watch that ended may still be on their way."""
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _drop(self, watch: watchers.Watch) -> None:
        del self._watches[watch.id]
        self._ready.pop(watch, None)
        self._service.forget(watch)

    def _answer(self, response: _Response) -> None:
        self._answers.complete(response.header)
        self._control.append(response)
        if len(self._control) >= CONTROL_MAX:
            self._room.clear()
        self._wake.set()

    # -- what is sent

    async def send_all(self) -> None:
        """Send until the end: answers first, then progress notifications, then one batch of each watch in turn.

        Raises what the stream is ended with.
        """
        write = self._context.write
        while not self._ended:
            if self._control:
                await write(self._control.popleft())
                self._room.set()
            elif self._quiet:
                watch = self._quiet.popleft()
                if watch.pending is None and self._watches.get(watch.id) is watch:
                    await write(self._fill(_Response(), watch, self._replica.state.revision))
            elif self._ready:
                first = next(iter(self._ready))
                del self._ready[first]
                await (self._send_events(first) if first is not None else self._send_progress())
            else:
                self._wake.clear()
                await self._wake.wait()
        if self._refused is not None:
            raise self._refused

    async def _send_events(self, watch: watchers.Watch) -> None:
        history = self._replica.state.history
        assert watch.pending is not None
        if watch.pending < history.first:
            self._control.append(self._overtaken(watch))
            return
        if watch.fragment:
            batch = events.collect(watch, history)
            responses: list[events.Response] = []
            if batch.changes:
                for piece in events.fragments(watch, batch.changes):
                    self._fill(piece, watch, batch.revision)
                    responses.append(piece)
        else:
            encoded = self._service.shared.next(watch, history)
            responses = []
            if encoded.events:
                head = self._fill(_Response(), watch, encoded.revision).SerializeToString()
                responses.append(ready.WatchResponse(head, encoded.events))
        if watch.pending is not None:
            self._ready[watch] = None
        watch.told = watch.told or bool(responses)
        for response in responses:
            if not self._ended:
                await self._context.write(response)
        if not responses:
            await asyncio.sleep(0)

    def _fill(self, response: _Response, watch: watchers.Watch, revision: int) -> _Response:
        response.watch_id = watch.id
        response.header.revision = revision
        self._answers.complete(response.header)
        return response

    def _overtaken(self, watch: watchers.Watch) -> _Response:
        """The end of a watch, as etcd has it: the compacted revision says why, the header has none."""
        self._drop(watch)
        response = _Response(watch_id=watch.id, canceled=True, compact_revision=max(self._replica.state.compacted, 1))
        self._answers.complete(response.header)
        response.header.revision = 0
        return response

    async def _send_progress(self) -> None:
        """Say up to which revision everything was sent, once that is what was asked."""
        sent = min((watch.pending or 0 for watch in self._ready if watch is not None), default=0) - 1
        if sent < 0:
            sent = self._replica.state.revision
        if sent < self._asked:
            self._ready[None] = None
            return
        response = _Response(watch_id=NO_ID)
        response.header.revision = sent
        self._answers.complete(response.header)
        await self._context.write(response)

    def _tick(self) -> None:
        """Watches that want to hear of progress and heard nothing since the last time are told."""
        self._ticking = None
        for watch in self._watches.values():
            if watch.progress:
                if not watch.told and watch.pending is None:
                    self._quiet.append(watch)
                watch.told = False
                if self._ticking is None:
                    self._ticking = asyncio.get_running_loop().call_later(self._service.progress_s, self._tick)
        self._wake.set()
