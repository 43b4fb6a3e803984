"""One member: a machine with a disk that outlives it, and the store's own parts, put together as its process does.

Two loops, as in the real process: one of the Raft thread, one of everything else. Only the sockets of clients are
missing: `rpc` calls the servicers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock
from zlib import crc32

from pysyncobj.node import Node
from raftsman.store import cluster, commands, publisher, snapshot, tokens, wal
from raftsman.store.lessor import Lessor
from raftsman.store.mvcc import members as membership
from raftsman.store.raft import clock, driver, events, mailbox, member, proposals, transfer
from raftsman.store.raft.journal import Beginning
from raftsman.store.raft.kernel import Pace
from raftsman.store.raft.member import Settings
from raftsman.store.replica import Replica
from raftsman.store.server import batch, kv, lease, watch
from raftsman.store.server import cluster as server_cluster
from raftsman.store.server.answers import Answers
from raftsman.store.server.identity import Identity

from .disk import Platter, SimDisk
from .loop import Died, Loop, Process, now_here, running
from .network import Network
from .world import World

DATA = Path("/data")
PEER_PORT = 2380


@dataclass(frozen=True)
class Sizes:
    """The store's bounds, small enough to be met in a run of seconds."""

    snapshot_count: int = 40
    trailing_entries: int = 10
    segment_bytes: int = 48 << 10
    append_bytes: int = 8 << 10
    chunk_bytes: int = 700

    @classmethod
    def drawn(cls, random: Random) -> Sizes:
        return cls(
            snapshot_count=random.choice((8, 20, 40, 200)),
            trailing_entries=random.choice((0, 2, 10, 60)),
            segment_bytes=random.choice((24 << 10, 48 << 10)),
            chunk_bytes=random.choice((300, 900, 4096)),
        )


class SimMailbox(mailbox.Mailbox[Any]):
    """What a thread posts late in a turn is not there before: the disk may have held the turn up."""

    def post(self, item: Any) -> None:
        assert isinstance(self._loop, Loop)
        world = self._loop.process.world
        self._items.append((now_here(world), item))
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        assert isinstance(self._loop, Loop)
        now, items = self._loop.now, []
        while self._items and self._items[0][0] <= now:
            items.append(self._items.popleft()[1])
        if items:
            self._take(items)


class SimDriver(driver.Driver):
    """The real driver; its thread is a loop of the same process."""

    raft_loop: Loop

    async def start(self) -> None:
        started: asyncio.Future[None] = self._main.create_future()
        self._done = self._main.create_future()
        self.raft_loop.call_soon_threadsafe(lambda: self.raft_loop.create_task(self._guarded(started), name="raft"))
        await started

    async def _guarded(self, started: asyncio.Future[None]) -> None:
        try:
            await self._serve(started)
        except Died:
            raise
        except BaseException as error:
            self._report_start(started, error)
        self._main.call_soon_threadsafe(self._done.set_result, None)

    async def stop(self) -> None:
        if self._stop is not None:
            self.raft_loop.call_soon_threadsafe(self._stop.set)
            await self._done


@dataclass
class Parts:
    """What one incarnation of a member is made of."""

    process: Process
    main: Loop
    raft: Loop
    replica: Replica
    lessor: Lessor
    answers: Answers
    services: dict[str, Any]
    driver: SimDriver | None = None
    serving: bool = False

    @property
    def kernel(self) -> Any:
        assert self.driver is not None
        return self.driver._member._kernel if self.driver._member is not None else None


@dataclass
class Machine:
    """A place in the cluster. `refused` says why its process would not start."""

    world: World
    network: Network
    name: str
    founders: cluster.Founders
    sizes: Sizes
    rate: float
    platter: Platter
    watcher: Any
    parts: Parts | None = None
    refused: str = ""
    incarnation: int = 0
    call_fails: Callable[[str], str] = field(default=lambda what: "")
    """Asked before every call of the disk: "" or how the process ends there ("kill", "power")."""
    ended: Callable[[], None] = field(default=lambda: None)
    generation: int = 0
    """How often its disk was replaced: a member of another id each time."""
    joined: tuple[int, Beginning] | None = None
    leaving: bool = False
    held: bool = False
    """Down until an operator starts it."""
    spare: bool = False
    """Of no member now."""
    lost: bool = False
    """Back with an empty disk, under the id that it had."""
    machines: Machines | None = None

    # -- life

    @property
    def alive(self) -> bool:
        return self.parts is not None and self.parts.process.alive

    @property
    def member(self) -> int:
        return self.joined[0] if self.joined is not None else self.founders.member

    @property
    def identity(self) -> str:
        """The member on this machine, which is another one after its disk was replaced."""
        return f"{self.name}.{self.generation}"

    def wiped(self) -> None:
        """An operator took the member out, and put an empty disk in."""
        self.held = True
        if self.alive:
            self.end("kill")
        self.generation += 1
        self.platter = Platter(self.world.random(f"disk {self.identity}"))
        self.refused = ""

    def joins(self, member: int, beginning: Beginning) -> None:
        self.joined = (member, beginning)
        self.held = self.leaving = self.spare = self.lost = False
        self.boot()

    def switch_off(self) -> None:
        """Nobody's machine from now on."""
        self.wiped()
        self.spare, self.lost = True, False

    def _dismissed(self, reason: str) -> None:
        self.world.note(self.name, f"dismissed: {reason}")
        if not (self.lost if reason == events.LOST else self.leaving or self._was_removed()):
            self.world.violate(f"{self.name} was dismissed, though nobody removed it: {reason}")
        self.held = True
        self.end("exit")
        raise Died(0)

    def _was_removed(self) -> bool:
        """Whether any member knows it."""
        parts = [each.parts for each in (self.machines or {}).values() if each.alive and each.parts is not None]
        kernels = [each.kernel for each in parts if each.kernel is not None]
        return any(kernel.journal.members.was_removed(self.member) for kernel in kernels)

    @property
    def damaged(self) -> bool:
        return bool(self.refused) and "OSError" not in self.refused

    @property
    def serving(self) -> bool:
        return self.parts is not None and self.parts.process.alive and self.parts.serving

    def boot(self) -> None:
        assert not self.alive
        self.incarnation += 1
        self.refused = ""
        self.network.powered[self.name] = True
        process = Process(self.world, self.name, rate=self.rate)
        main, raft = process.loop("main"), process.loop("raft")
        main.network = raft.network = self.network
        self.world.note(self.name, f"boots, incarnation {self.incarnation}")
        with running(main):
            self.parts = self._parts(process, main, raft)
            main.create_task(self._serve(self.parts), name="serve")

    def _parts(self, process: Process, main: Loop, raft: Loop) -> Parts:
        who = cluster.Cluster(self.founders.cluster, self.member, f"disk of {self.identity}")
        replica = Replica(
            DATA,
            member_number=who.member,
            cluster=who.name,
            snapshot_count=self.sizes.snapshot_count,
            disk=SimDisk(self.platter, process, self._before_disk),
            random=self.world.random(f"replica {self.name} {self.incarnation}"),
        )
        replica.dismissed = self._dismissed
        lessor = Lessor(replica)
        identity = Identity(replica, tokens.Settings(), certificates=False)
        answers = Answers(replica, who, identity)
        services = {
            "KV": kv.KV(answers),
            "Batch": batch.Batch(answers),
            "Watch": watch.Watch(answers),
            "Lease": lease.Lease(answers, lessor),
            "Cluster": server_cluster.Cluster(answers),
        }
        return Parts(process, main, raft, replica, lessor, answers, services)

    async def _serve(self, parts: Parts) -> None:
        replica = parts.replica
        try:
            replica._disk.make_folder(DATA)
            start = replica.load()
            made = SimDriver(self._settings(replica._disk), start, partial(self._on_event, parts))
            made.raft_loop = parts.raft
            parts.driver = made
            replica.attach(made)
            self.watcher.loaded(self, parts)
            await made.start()
        except (wal.WalDamaged, snapshot.SnapshotDamaged, driver.LogGap, OSError) as error:
            self.refused = f"{type(error).__name__}: {error}"
            self.world.note(self.name, f"does not start: {self.refused}")
            self.end("exit")
            raise Died(1) from error
        parts.process.after_turn = partial(self.watcher.look, self, parts)
        parts.serving = True
        published = publisher.run(replica, member=self.member, name=self.name, client_urls=())
        parts.main.create_task(published, name="publish")
        self.world.note(self.name, f"serves, revision {replica.state.revision}")

    def _settings(self, disk: Any) -> Settings:
        founders = self.founders
        change = membership.Change(membership.Action.FOUND, founders.members, founders.cluster)
        operation = commands.Operation(0, commands.Kind.CLUSTER_MEMBER, membership.encode(change))
        return Settings(
            member=self.member,
            cluster=f"{founders.cluster:x}",
            instance=f"disk of {self.identity}",
            listen=[(self.name, PEER_PORT), (f"{self.name}b", PEER_PORT)],
            tls=None,
            snapshots=DATA / "snap",
            beginning=self.joined[1] if self.joined else Beginning(entry=commands.encode_change(operation)),
            pace=Pace(append_bytes=self.sizes.append_bytes),
            disk=disk,
            random=self.world.random(f"elections {self.name} {self.incarnation}"),
        )

    def _on_event(self, parts: Parts, event: events.Event) -> None:
        parts.replica.on_event(event)
        self.watcher.applied(self, parts, event)

    # -- death

    def end(self, how: str) -> None:
        """`how`: "kill" and "exit" lose the process, "power" the machine with all that is not on its platter."""
        assert self.parts is not None
        self.world.note(self.name, how)
        process = self.parts.process
        process.end()
        self.network.process_ended(process, power_lost=how == "power")
        if how == "power":
            self.network.powered[self.name] = False
            self.platter.lose_power(self.world.now)
        self.watcher.ended(self)
        self.ended()

    async def stop(self) -> None:
        """As SIGTERM does; runs on the main loop."""
        assert self.parts is not None
        parts = self.parts
        parts.serving = False
        parts.services["Watch"].close()
        parts.lessor.close()
        await parts.replica.stop()
        assert parts.driver is not None
        await parts.driver.stop()
        self.end("exit")
        raise Died(0)

    def _before_disk(self, what: str) -> None:
        if not self.alive:
            raise Died(1)
        how = self.call_fails(what)
        if how:
            self.world.note(self.name, f"at {what}:")
            self.end(how)
            raise Died(1)

    def exited(self, code: int) -> None:
        """The store ended its own process, as it must when its disk fails, and only then."""
        if not self.alive:
            raise Died(code)
        error = sys.exc_info()[1]
        self.world.note(self.name, f"exits with {code}: {type(error).__name__}: {error}")
        self.end("exit")
        if not isinstance(error, OSError):
            self.world.violate(f"{self.name} ended itself: {type(error).__name__}: {error}")
        raise Died(code)


class Machines(dict[str, Machine]):
    """All of them, by name."""

    def current(self) -> Machine | None:
        """Whose code runs now."""
        loop = asyncio._get_running_loop()
        return self.get(loop.process.name) if isinstance(loop, Loop) else None


@contextmanager
def seams(world: World, machines: Machines, sizes: Sizes) -> Iterator[None]:
    """Put the simulation in place of the clock, the exit, the log's eyes, and bounds that a short run never meets."""

    def now() -> float:
        loop = asyncio._get_running_loop()
        return loop.time() if loop is not None else world.now

    def leave(code: int) -> None:
        machine = machines.current()
        assert machine is not None
        machine.exited(code)

    with ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.object(clock, "now", now))
        enter(mock.patch.object(os, "_exit", leave))
        enter(mock.patch.object(Node, "__hash__", lambda node: crc32(node.id.encode())))
        enter(mock.patch.object(driver, "Mailbox", SimMailbox))
        enter(mock.patch.object(driver.wal, "SEGMENT_BYTES", sizes.segment_bytes))
        enter(mock.patch.object(member, "TRAILING_ENTRIES_MAX", sizes.trailing_entries))
        enter(mock.patch.object(member, "MARGIN_BYTES", 4096))
        enter(mock.patch.object(batch.secrets, "token_bytes", world.random("sessions").randbytes))
        enter(mock.patch.object(server_cluster, "time", SimpleNamespace(time_ns=lambda: int(world.now * 1e9))))
        enter(mock.patch.object(proposals, "ENTRY_BYTES", 2048))
        enter(mock.patch.object(transfer, "CHUNK_BYTES", sizes.chunk_bytes))
        root = logging.getLogger()
        level = root.level
        # Nobody else's: pytest's keeps records, and with them what their tracebacks hold of the run.
        enter(mock.patch.object(root, "handlers", [_Notes(world, machines)]))
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.setLevel(level)


class _Notes(logging.Handler):
    """What the store logs becomes lines of the trace."""

    def __init__(self, world: World, machines: Machines) -> None:
        super().__init__(logging.INFO)
        self._world, self._machines = world, machines

    def emit(self, record: logging.LogRecord) -> None:
        machine = self._machines.current()
        fields = " ".join(f"{key}={value}" for key, value in getattr(record, "fields", {}).items())
        if record.name.startswith("raftsman"):
            self._world.note(machine.name if machine else "", f"log: {record.getMessage()} {fields}")
