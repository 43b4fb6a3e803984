"""Queues under a name: what locks and elections are, kept as etcd's client libraries keep them, so both may be mixed.

A place is a key NAME/LEASE (the lease in hexadecimal) that hangs on its lease; the oldest key is the front. Whoever
waits is woken when the place before his is left. Bound: WAITING_MAX calls wait at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from raftsman import logs
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.store import errors
from raftsman.store.commands import Kind
from raftsman.store.mvcc.auth import ITSELF
from raftsman.store.raft import events

from .answers import Answers, Context
from .lease import with_id

WAITING_MAX = 10_000
LEASE_S = 60

log = logs.get(__name__)
_Range, _Compare, _Op = rpc_pb2.RangeRequest, rpc_pb2.Compare, rpc_pb2.RequestOp


@dataclass(frozen=True, slots=True)
class Place:
    """A key in a queue; `revision` made it. `made` by this call, or found."""

    prefix: bytes
    key: bytes
    revision: int
    lease: int
    made: bool

    @property
    def own(self) -> rpc_pb2.Compare:
        """Holds as long as nobody else made the key."""
        equal, target = _Compare.EQUAL, _Compare.CREATE
        return _Compare(key=self.key, result=equal, target=target, create_revision=self.revision)


def prefix_of(name: bytes) -> bytes:
    return name + b"/"


class Queues:
    """Every queue, as this member's state has it; an observer of the replica."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._replica = answers.replica
        self._waiting: dict[bytes, set[asyncio.Event]] = {}
        self._count = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._replica.observers.append(self)

    async def join(self, name: bytes, lease: int, value: bytes, context: Context) -> Place:
        """Take a place, or find the one that the lease has. Without a lease one is granted. Raises StoreError."""
        if not lease:
            grant = with_id(rpc_pb2.LeaseGrantRequest(TTL=LEASE_S))
            lease = (await self._answers.write(Kind.LEASE_GRANT, grant, context, rpc_pb2.LeaseGrantResponse)).ID
        prefix = prefix_of(name)
        key = prefix + f"{lease:x}".encode()
        put = _Op(request_put=rpc_pb2.PutRequest(key=key, value=value, lease=lease))
        request = rpc_pb2.TxnRequest(
            compare=[_Compare(key=key, result=_Compare.EQUAL, target=_Compare.CREATE)],
            success=[put],
            failure=[_Op(request_range=_Range(key=key))],
        )
        answer = await self._answers.write(Kind.TXN, request, context, rpc_pb2.TxnResponse)
        if answer.succeeded:
            return Place(prefix, key, answer.header.revision, lease, made=True)
        found = answer.responses[0].response_range.kvs[0]
        return Place(prefix, key, found.create_revision, lease, made=False)

    async def wait(self, place: Place, context: Context) -> bool:
        """Wait until a place is the front; False when it is gone. A call that ends early leaves the queue."""
        try:
            while (before := await self._newest_before(place, context)) is not None:
                with self.woken(before) as event:
                    found = self.record(before)
                    if found is not None and found.create_revision < place.revision:
                        await event.wait()
        except BaseException:
            if place.made:
                task = asyncio.get_running_loop().create_task(self._leave(place), name="leave a queue")
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
            raise
        front = self.record(place.key)
        return front is not None and front.create_revision == place.revision

    async def front(self, prefix: bytes, context: Context) -> kv_pb2.KeyValue | None:
        """Who is first, as far as this member knows. Raises permission_denied."""
        return await self._one(_Range(key=prefix, sort_order=_Range.ASCEND), context)

    async def _newest_before(self, place: Place, context: Context) -> bytes | None:
        request = _Range(key=place.prefix, sort_order=_Range.DESCEND, max_create_revision=place.revision - 1)
        found = await self._one(request, context) if place.revision > 1 else None
        return None if found is None else found.key

    async def _one(self, request: rpc_pb2.RangeRequest, context: Context) -> kv_pb2.KeyValue | None:
        """The first by creation of those under a prefix."""
        request.range_end = request.key[:-1] + bytes((request.key[-1] + 1,))
        request.sort_target, request.limit = _Range.CREATE, 1
        who = await self._answers.identity.permit(context)
        state = self._replica.state
        state.auth.check_read(who, request.key, request.range_end)
        found = state.range(request).kvs
        return found[0] if found else None

    def record(self, key: bytes) -> kv_pb2.KeyValue | None:
        found = self._replica.state.range(_Range(key=key)).kvs
        return found[0] if found else None

    async def _leave(self, place: Place) -> None:
        """The store's own doing: it made the place for a call that is gone."""
        gone = _Op(request_delete_range=rpc_pb2.DeleteRangeRequest(key=place.key))
        request = rpc_pb2.TxnRequest(compare=[place.own], success=[gone])
        try:
            await self._replica.propose(Kind.TXN, request.SerializeToString(), who=ITSELF)
        except errors.StoreError as error:
            log.warning("a place in a queue stays until its lease ends", key=place.key, error=error)

    @contextmanager
    def woken(self, topic: bytes) -> Iterator[asyncio.Event]:
        """An event that is set when a key changes, or with a prefix of `prefix_of`, one under it."""
        if self._count >= WAITING_MAX:
            raise errors.too_many_requests()
        event = asyncio.Event()
        self._count += 1
        self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            self._count -= 1
            self._waiting[topic].discard(event)
            if not self._waiting[topic]:
                del self._waiting[topic]

    # -- replica.Observer

    def changed(self, first: int, last: int) -> None:
        if not self._waiting:
            return
        history = self._replica.state.history
        for _, changes in history.between(max(first, history.first), last):
            for change in changes:
                key = change.record.key
                for topic in (key, key[: key.rfind(b"/") + 1]):
                    for event in self._waiting.get(topic, ()):
                        event.set()

    def replaced(self) -> None:
        for events_ in self._waiting.values():
            for event in events_:
                event.set()

    def compacted(self, revision: int) -> None:
        """Queues are about what is."""

    def led(self, role: events.Role) -> None:
        """Nor about who leads the store."""

    def lease_changed(self, lease_id: int) -> None:
        """A lease that ends deletes its keys."""
