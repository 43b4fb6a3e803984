"""What clients do: puts, deletes, transactions, reads, leases, watches, compaction; what they were told is recorded.

Every value is written once, so that whoever reads it knows which put it was. Most clients speak etcd's gRPC with one
member until that fails them; one uses the API server's batching stream, which sends again what was not answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
import grpc.aio
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc
from raftsman.kv import v1 as kv
from raftsman.services.apiserver.storage.stream import Refused, Stream
from raftsman.testing.linearizability import History, Session, Watched

from .nodes import Node, channel_to
from .switch import Switch

CALL_S = 4.0
FIRST, END = b"k", b"l"
RANGES = ((FIRST, END), (b"k0", b""), (b"k1", b"k3"))
_Compare = rpc_pb2.Compare
_Op = rpc_pb2.RequestOp


@dataclass
class Workload:
    """The clients of one run. They stop when `stopping` is set."""

    seed: str
    nodes: Sequence[Node]
    keys: int
    clients: int
    watchers: int
    pause_s: float
    history: History = field(default_factory=History)
    watched: list[Watched] = field(default_factory=list)
    answered: int = 0
    highest: int = 1
    """The highest revision that anybody was told."""
    leases: dict[int, float] = field(default_factory=dict)
    """Before when a lease must not expire."""
    stopping: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _watching: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, switch: Switch) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(_Client(self, f"c{number}").run()) for number in range(self.clients)]
        self._tasks.append(loop.create_task(_Persistent(self, "s0", switch).run()))
        self._watching = [
            loop.create_task(_Watcher(self, f"w{number}").run(*RANGES[number % len(RANGES)]))
            for number in range(self.watchers)
        ]

    async def stop(self) -> None:
        """Let the clients end what they began."""
        self.stopping = True
        await asyncio.gather(*self._tasks)

    async def end(self) -> None:
        for task in (*self._tasks, *self._watching):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._watching, return_exceptions=True)

    async def watchers_have(self, revision: int) -> None:
        """Wait until every watcher heard a revision that concerns them all."""
        while any(watched.resume_from() <= revision for watched in self.watched):
            for task in self._watching:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)

    def told(self, revision: int) -> None:
        self.answered += 1
        self.highest = max(self.highest, revision)

    def finish(self) -> History:
        """The history, with what the store may have done on its own."""
        for lease_id, earliest in self.leases.items():
            self.history.may_expire(lease_id, earliest=earliest)
        return self.history


class _Caller:
    """It stays with a member until that fails it."""

    def __init__(self, work: Workload, name: str) -> None:
        self.work = work
        self.name = name
        self.random = Random(f"{work.seed}/{name}")
        self._node: Node | None = None
        self._written = 0

    def channel(self) -> grpc.aio.Channel:
        if self._node is None or self.random.random() < 0.05:
            self._node = self.random.choice(self.work.nodes)
        return self._node.open()

    def give_up_on_it(self) -> None:
        self._node = None

    def _key(self) -> bytes:
        return b"k%d" % self.random.randrange(self.work.keys)

    def _value(self) -> bytes:
        self._written += 1
        return f"{self.name}-{self._written}".encode() + b"." * self.random.choice((0, 0, 0, 30, 3000))


class _Client(_Caller):
    """Issues one request after another."""

    def __init__(self, work: Workload, name: str) -> None:
        super().__init__(work, name)
        self._lease = 0
        self._leases_made = 0
        self._last: dict[bytes, Any] = {}
        self._kinds: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (30, self._put),
            (7, self._delete),
            (2, self._delete_some),
            (20, self._compare_and_swap),
            (6, self._put_two),
            (20, self._get),
            (8, self._get_all),
            (6, self._get_serializable),
            (3, self._get_old),
            (4, self._lease_step),
            (1, self._compact),
        ]

    async def run(self) -> None:
        weights = [weight for weight, _ in self._kinds]
        while not self.work.stopping:
            await self.random.choices(self._kinds, weights)[0][1]()
            await asyncio.sleep(self.random.expovariate(1 / self.work.pause_s))

    async def _ask(self, stub: Any, method: str, request: Any) -> Any:
        """One request into the history; its answer, None when it failed."""
        work, call = self.work, time.monotonic()
        try:
            answer = await getattr(stub(self.channel()), method)(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            work.history.failed(self.name, request, error.code(), error.details() or "", call=call)
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                self.give_up_on_it()
                await asyncio.sleep(self.random.random() * 0.2)
            return None
        work.history.answered(self.name, request, answer, call=call, end=time.monotonic())
        work.told(answer.header.revision)
        return answer

    async def _kv(self, method: str, request: Any) -> Any:
        return await self._ask(rpc_pb2_grpc.KVStub, method, request)

    # -- requests

    async def _put(self) -> None:
        request = rpc_pb2.PutRequest(key=self._key(), value=self._value(), prev_kv=self.random.random() < 0.2)
        if self._lease and self.random.random() < 0.4:
            request.lease = self._lease
        await self._kv("Put", request)

    async def _delete(self) -> None:
        await self._kv("DeleteRange", rpc_pb2.DeleteRangeRequest(key=self._key(), prev_kv=True))

    async def _delete_some(self) -> None:
        await self._kv("DeleteRange", rpc_pb2.DeleteRangeRequest(key=self._key(), range_end=self._key() + b"~"))

    async def _compare_and_swap(self) -> None:
        key = self._key()
        last = self._last.get(key)
        compare = _Compare(key=key, target=_Compare.MOD, result=_Compare.EQUAL)
        compare.mod_revision = last.mod_revision if last is not None else 0
        read = rpc_pb2.RangeRequest(key=key)
        request = rpc_pb2.TxnRequest(
            compare=[compare],
            success=[_Op(request_put=rpc_pb2.PutRequest(key=key, value=self._value())), _Op(request_range=read)],
            failure=[_Op(request_range=read)],
        )
        answer = await self._kv("Txn", request)
        if answer is not None:
            self._remember(key, answer.responses[-1].response_range.kvs)

    async def _put_two(self) -> None:
        first, second = self.random.sample(range(self.work.keys), 2)
        puts = [rpc_pb2.PutRequest(key=b"k%d" % number, value=self._value()) for number in (first, second)]
        await self._kv("Txn", rpc_pb2.TxnRequest(success=[_Op(request_put=put) for put in puts]))

    async def _get(self) -> None:
        key = self._key()
        answer = await self._kv("Range", rpc_pb2.RangeRequest(key=key))
        if answer is not None:
            self._remember(key, answer.kvs)

    def _remember(self, key: bytes, kvs: Any) -> None:
        self._last[key] = kvs[0] if kvs else None

    async def _get_all(self) -> None:
        await self._kv("Range", rpc_pb2.RangeRequest(key=FIRST, range_end=END, limit=self.random.choice((0, 2))))

    async def _get_serializable(self) -> None:
        await self._kv("Range", rpc_pb2.RangeRequest(key=FIRST, range_end=END, serializable=True))

    async def _get_old(self) -> None:
        revision = max(2, self.work.highest - self.random.randrange(20))
        await self._kv("Range", rpc_pb2.RangeRequest(key=FIRST, range_end=END, revision=revision))

    async def _compact(self) -> None:
        revision = self.work.highest - self.random.randrange(100)
        if revision > 1:
            await self._kv("Compact", rpc_pb2.CompactionRequest(revision=revision))

    # -- leases

    async def _lease_step(self) -> None:
        if not self._lease:
            await self._grant()
        elif self.random.random() < 0.7:
            await self._keep_alive()
        else:
            lease, self._lease = self._lease, 0
            if self.random.random() < 0.5:  # the others are left to expire
                await self._ask(rpc_pb2_grpc.LeaseStub, "LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))

    async def _grant(self) -> None:
        self._leases_made += 1
        lease = (int(self.name[1:]) + 1) * 100_000 + self._leases_made
        asked = self.work.leases[lease] = time.monotonic()
        request = rpc_pb2.LeaseGrantRequest(ID=lease, TTL=self.random.choice((1, 2, 3, 30)))
        answer = await self._ask(rpc_pb2_grpc.LeaseStub, "LeaseGrant", request)
        if answer is not None:
            self._lease = lease
            self._lives_until(lease, asked + answer.TTL)
            await self._kv("Put", rpc_pb2.PutRequest(key=self._key() + b"-leased", value=self._value(), lease=lease))

    def _lives_until(self, lease: int, moment: float) -> None:
        self.work.leases[lease] = max(self.work.leases[lease], moment)

    async def _keep_alive(self) -> None:
        asked = time.monotonic()
        stream = rpc_pb2_grpc.LeaseStub(self.channel()).LeaseKeepAlive(timeout=CALL_S)
        try:
            await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=self._lease))
            answer: Any = await stream.read()
            ttl = answer.TTL if isinstance(answer, rpc_pb2.LeaseKeepAliveResponse) else None
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            ttl = None
        finally:
            stream.cancel()
        if ttl is None:
            self.give_up_on_it()
        elif ttl <= 0:
            self._lease = 0
        else:
            self._lives_until(self._lease, asked + ttl)


class _Persistent(_Caller):
    """The API server's stream, through whichever member: what it sends again happens once."""

    def __init__(self, work: Workload, name: str, switch: Switch) -> None:
        super().__init__(work, name)
        self._channel = channel_to(switch.socket)
        self._stream = Stream(self._channel)

    async def run(self) -> None:
        try:
            while not self.work.stopping:
                await asyncio.gather(*(self._step() for _ in range(self.random.randrange(1, 4))))
                await asyncio.sleep(self.random.expovariate(1 / self.work.pause_s))
        finally:
            await self._stream.close()
            await self._channel.close()

    async def _step(self) -> None:
        key = self._key()
        put = rpc_pb2.PutRequest(key=key, value=self._value())
        if self.random.random() < 0.3:
            await self._ask(kv.OPERATION_KIND_RANGE, rpc_pb2.RangeRequest(key=key), rpc_pb2.RangeResponse)
        elif self.random.random() < 0.5:
            await self._ask(kv.OPERATION_KIND_PUT, put, rpc_pb2.PutResponse)
        else:
            both = [_Op(request_put=put), _Op(request_range=rpc_pb2.RangeRequest(key=key))]
            await self._ask(kv.OPERATION_KIND_TXN, rpc_pb2.TxnRequest(success=both), rpc_pb2.TxnResponse)

    async def _ask(self, kind: int, request: Any, answer_type: Any) -> None:
        work, call = self.work, time.monotonic()
        try:
            answer = await self._stream.call(kind, request.SerializeToString())
        except Refused as refused:
            work.history.failed(self.name, request, refused.code(), refused.details(), call=call)
            return
        told = answer_type.FromString(answer.response)
        told.header.revision = answer.revision
        work.history.answered(self.name, request, told, call=call, end=time.monotonic())
        work.told(answer.revision)


class _Watcher(_Caller):
    """Watches a range for ever; begins again behind what it got when its stream breaks."""

    async def run(self, key: bytes, end: bytes) -> None:
        work = self.work
        prev_kv, fragment = (key, end) == RANGES[0] or self.random.random() < 0.5, self.random.random() < 0.3
        create = rpc_pb2.WatchCreateRequest(
            key=key, range_end=end, start_revision=2, prev_kv=prev_kv, fragment=fragment
        )
        watched = Watched(self.name)
        work.watched.append(watched)
        while True:
            # A member that lags behind says so in its progress: never go back.
            create.start_revision = max(create.start_revision, watched.resume_from())
            session = Session(rpc_pb2.WatchCreateRequest.FromString(create.SerializeToString()))
            watched.sessions.append(session)
            await self._session(session, seconds=self.random.choice((1.0, 5.0, 60.0)))
            await asyncio.sleep(self.random.random() * 0.2)

    async def _session(self, session: Session, *, seconds: float) -> None:
        stream = rpc_pb2_grpc.WatchStub(self.channel()).Watch(timeout=seconds)
        try:
            await stream.write(rpc_pb2.WatchRequest(create_request=session.request))
            if self.random.random() < 0.5:
                progress = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
                await stream.write(progress)
            async for response in stream:
                session.responses.append(response)
                if response.canceled:
                    return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or not session.responses:
                self.give_up_on_it()
        except asyncio.InvalidStateError:
            self.give_up_on_it()
        finally:
            stream.cancel()
