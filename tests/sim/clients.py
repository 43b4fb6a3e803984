"""What clients do: puts, deletes, transactions, reads, leases, watches, compaction; what they were told is recorded.

Every value is written once, so that whoever reads it knows which put it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
from raftsman.etcd import rpc_pb2
from raftsman.testing.linearizability import History, Session, Watched

from .loop import Process
from .machine import Machine, Machines
from .network import Network
from .rpc import CallFailed, Channel
from .world import World

CALL_S = 4.0
RATE_SKEW = 1.05
_Compare = rpc_pb2.Compare
_Op = rpc_pb2.RequestOp


@dataclass
class Workload:
    """The clients of one run. They stop when `until` has passed."""

    world: World
    network: Network
    machines: Machines
    keys: int = 5
    clients: int = 5
    watchers: int = 2
    sessions: int = 1
    pause_s: float = 0.08
    lease_share: float = 1.0
    until: float = 0.0
    history: History = field(default_factory=History)
    watched: list[Watched] = field(default_factory=list)
    answered: int = 0
    highest: int = 1
    """The highest revision that anybody was told."""
    leases: dict[int, float] = field(default_factory=dict)
    """Before when (true time) a lease must not expire."""
    operator: Any = None
    persistent: Any = None
    """The class of clients with sessions."""
    _running: set[str] = field(default_factory=set)

    def start(self) -> None:
        for number in range(self.clients):
            self._client(f"c{number}", lambda name: _Client(self, name).run())
        for number in range(self.watchers):
            self._client(f"w{number}", lambda name: _Watcher(self, name).run())
        for number in range(self.sessions):
            self._client(f"s{number}", lambda name: self.persistent(self, name).run())
        if self.operator is not None:
            self._client("o0", lambda name: self.operator(self, name).run())

    def _client(self, name: str, run: Callable[[str], Awaitable[None]]) -> None:
        process = Process(self.world, name)
        loop = process.loop("main")
        loop.network = self.network
        self.network.machine(name, name)
        self._running.add(name)
        world = self.world

        async def to_the_end() -> None:
            try:
                await run(name)
            except Exception as error:
                world.note(name, f"client failed: {type(error).__name__}: {error}")
                raise
            self._running.discard(name)

        task = loop.create_task(to_the_end(), name=name)
        task.add_done_callback(lambda done: done.cancelled() or done.exception() is None or self._broken(done))

    def _broken(self, done: asyncio.Task[None]) -> None:
        self.world.violate(f"a client broke: {done.exception()!r}")

    @property
    def done(self) -> bool:
        return all(name.startswith("w") for name in self._running)

    def told(self, revision: int) -> None:
        self.answered += 1
        self.highest = max(self.highest, revision)

    def finish(self) -> History:
        """The history, with what the store may have done on its own."""
        for lease_id, earliest in self.leases.items():
            self.history.may_expire(lease_id, earliest=earliest)
        return self.history


class Caller:
    """A client's channel: it stays with a member until that fails it."""

    def __init__(self, work: Workload, name: str) -> None:
        self.work = work
        self.name = name
        self.random: Random = work.world.random(f"client {name}")
        self._machine: Machine | None = None

    def channel(self) -> Channel:
        if self._machine is None or not self._machine.serving or self.random.random() < 0.05:
            machines = [machine for machine in self.work.machines.values() if not machine.spare]
            self._machine = self.random.choice(machines or list(self.work.machines.values()))
        loop = asyncio.get_running_loop()
        return Channel(self.work.network, loop, self._machine)  # type: ignore[arg-type]

    def give_up_on_it(self) -> None:
        self._machine = None


class _Client(Caller):
    """Issues one request after another."""

    def __init__(self, work: Workload, name: str) -> None:
        super().__init__(work, name)
        self._written = 0
        self._lease = 0
        self._leases_made = 0
        self._last: dict[bytes, Any] = {}
        self._kinds: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (30, self._put),
            (7, self._delete),
            (2, self._delete_some),
            (20, self._compare_and_swap),
            (6, self._put_two),
            (16, self._get),
            (8, self._get_all),
            (8, self._get_serializable),
            (3, self._get_old),
            (4 * work.lease_share, self._lease_step),
            (1, self._compact),
        ]

    async def run(self) -> None:
        work = self.work
        weights = [weight for weight, _ in self._kinds]
        while work.world.now < work.until:
            step = self.random.choices(self._kinds, weights)[0][1]
            await step()
            await asyncio.sleep(self.random.expovariate(1 / work.pause_s))

    async def _ask(self, service: str, method: str, request: Any) -> Any:
        """One request into the history; its answer, None when it failed."""
        work, world = self.work, self.work.world
        call = world.now
        try:
            answer = await self.channel().call(service, method, request, seconds=CALL_S)
        except CallFailed as error:
            work.history.failed(self.name, request, error.code, error.text, call=call)
            world.note(self.name, f"{method} failed: {error.code.name} {error.text}")
            if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                self.give_up_on_it()
                await asyncio.sleep(self.random.random() * 0.2)
            return None
        work.history.answered(self.name, request, answer, call=call, end=world.now)
        work.told(answer.header.revision)
        world.note(self.name, f"{method} {_brief(request)} -> {answer.header.revision} of {self._machine_name()}")
        return answer

    def _machine_name(self) -> str:
        return self._machine.name if self._machine is not None else "?"

    def _key(self) -> bytes:
        return b"k%d" % self.random.randrange(self.work.keys)

    def _value(self) -> bytes:
        self._written += 1
        filling = b"." * self.random.choice((0, 0, 0, 30, 600))
        return f"{self.name}-{self._written}".encode() + filling

    # -- requests

    async def _put(self) -> None:
        request = rpc_pb2.PutRequest(key=self._key(), value=self._value(), prev_kv=self.random.random() < 0.2)
        if self._lease and self.random.random() < 0.4:
            request.lease = self._lease
        await self._ask("KV", "Put", request)

    async def _delete(self) -> None:
        await self._ask("KV", "DeleteRange", rpc_pb2.DeleteRangeRequest(key=self._key(), prev_kv=True))

    async def _delete_some(self) -> None:
        await self._ask("KV", "DeleteRange", rpc_pb2.DeleteRangeRequest(key=self._key(), range_end=self._key() + b"~"))

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
        answer = await self._ask("KV", "Txn", request)
        if answer is not None:
            self._remember(key, answer.responses[-1].response_range.kvs)

    async def _put_two(self) -> None:
        first, second = self.random.sample(range(self.work.keys), 2)
        puts = [rpc_pb2.PutRequest(key=b"k%d" % number, value=self._value()) for number in (first, second)]
        await self._ask("KV", "Txn", rpc_pb2.TxnRequest(success=[_Op(request_put=put) for put in puts]))

    async def _get(self) -> None:
        key = self._key()
        answer = await self._ask("KV", "Range", rpc_pb2.RangeRequest(key=key))
        if answer is not None:
            self._remember(key, answer.kvs)

    def _remember(self, key: bytes, kvs: Any) -> None:
        self._last[key] = kvs[0] if kvs else None

    async def _get_all(self) -> None:
        await self._ask("KV", "Range", rpc_pb2.RangeRequest(key=b"k", range_end=b"l", limit=self.random.choice((0, 2))))

    async def _get_serializable(self) -> None:
        await self._ask("KV", "Range", rpc_pb2.RangeRequest(key=b"k", range_end=b"l", serializable=True))

    async def _get_old(self) -> None:
        revision = max(2, self.work.highest - self.random.randrange(20))
        await self._ask("KV", "Range", rpc_pb2.RangeRequest(key=b"k", range_end=b"l", revision=revision))

    async def _compact(self) -> None:
        revision = self.work.highest - self.random.randrange(30)
        if revision > 1:
            await self._ask("KV", "Compact", rpc_pb2.CompactionRequest(revision=revision))

    # -- leases

    async def _lease_step(self) -> None:
        if not self._lease:
            await self._grant()
        elif self.random.random() < 0.9:
            await self._keep_alive()
        else:
            lease, self._lease = self._lease, 0
            await self._ask("Lease", "LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))

    async def _grant(self) -> None:
        self._leases_made += 1
        lease = int(self.name[1:]) * 1000 + self._leases_made
        ttl = self.random.choice((1, 2, 2, 30))
        asked = self.work.world.now
        self.work.leases[lease] = asked
        answer = await self._ask("Lease", "LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=ttl))
        if answer is not None:
            self._lease = lease
            self._lives_until(lease, asked, answer.TTL)
            key = b"k%d-%s" % (self.random.randrange(self.work.keys), self.name.encode())
            await self._ask("KV", "Put", rpc_pb2.PutRequest(key=key, value=self._value(), lease=lease))

    def _lives_until(self, lease: int, asked: float, ttl: int) -> None:
        self.work.leases[lease] = max(self.work.leases[lease], asked + ttl / RATE_SKEW)

    async def _keep_alive(self) -> None:
        lease, asked = self._lease, self.work.world.now
        try:
            async with asyncio.timeout(CALL_S):
                answers = self.channel().stream("Lease", "LeaseKeepAlive", [rpc_pb2.LeaseKeepAliveRequest(ID=lease)])
                answer = await anext(answers)
                await answers.aclose()
        except (CallFailed, TimeoutError):
            self.give_up_on_it()
            return
        self.work.world.note(self.name, f"keep-alive {lease} -> {answer.TTL} s by {self._machine_name()}")
        if answer.TTL <= 0:
            self._lease = 0
            return
        self._lives_until(lease, asked, answer.TTL)
        if self.random.random() < 0.3:
            self._lease = 0  # left to expire


class _Watcher(Caller):
    """Watches a range for ever; begins again behind what it got when its stream breaks."""

    async def run(self) -> None:
        work = self.work
        key, end = self.random.choice(((b"k", b"l"), (b"k0", b""), (b"k1", b"k4")))
        create = rpc_pb2.WatchCreateRequest(
            key=key, range_end=end, prev_kv=self.random.random() < 0.5, fragment=self.random.random() < 0.3
        )
        watched = Watched(self.name)
        work.watched.append(watched)
        while True:
            # A member that lags behind says so in its progress: never go back.
            create.start_revision = max(create.start_revision, watched.resume_from())
            session = Session(rpc_pb2.WatchCreateRequest.FromString(create.SerializeToString()))
            watched.sessions.append(session)
            try:
                await self._session(session)
            except CallFailed as error:
                work.world.note(self.name, f"watch broke: {error}")
                self.give_up_on_it()
            await asyncio.sleep(self.random.random() * 0.3)

    async def _session(self, session: Session) -> None:
        requests = [rpc_pb2.WatchRequest(create_request=session.request)]
        if self.random.random() < 0.5:
            requests.append(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))
        async for response in self.channel().stream("Watch", "Watch", requests):
            session.responses.append(response)
            self.work.world.note(
                self.name, f"watch: {len(response.events)} events, revision {response.header.revision}"
            )
            if response.canceled:
                return


def _brief(request: Any) -> str:
    return " ".join(str(request).split())[:90]
