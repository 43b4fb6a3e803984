"""What goes wrong: which faults a run may have is drawn from its seed, then they come and go at random.

A fault touches one machine, a pair, or all. Every fault ends by itself or with `heal`. A disk call may be the last one
of its process, so that a member dies between any two steps of a log roll, a snapshot or an installation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random

from raftsman.store import errors
from raftsman.store.replica import Replica

from .disk import SYNC_S
from .machine import Machine, Machines
from .network import LATENCY_S, Network
from .world import World

KINDS = (
    "kill",
    "power",
    "power of all",
    "stop",
    "pause",
    "part",
    "part one way",
    "isolate",
    "cut off the leader",
    "drop connections",
    "slow link",
    "lossy link",
    "slow disk",
    "full disk",
    "die at the disk",
    "move the leader",
)
BIT_ROT = "bit rot"
"""Not drawn: a member may have to stay down, so that not everything comes together afterwards."""


@dataclass
class Faults:
    """The faults of one run."""

    world: World
    network: Network
    machines: Machines
    kinds: tuple[str, ...]
    every_s: float
    until: float = 0.0
    count: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = self.world.random("faults")
        for machine in self.machines.values():
            machine.call_fails = self._fuse(0)
            machine.ended = partial(self._supervise, machine)

    def start(self) -> None:
        if self.kinds:
            self._later()

    def _later(self) -> None:
        self.world.after(self.random.expovariate(1 / self.every_s), self._strike)

    def _strike(self) -> None:
        if self.world.now > self.until:
            return
        kind = self.random.choice(self.kinds)
        self.count += 1
        self.world.note("**", kind)
        getattr(self, "_" + kind.replace(" ", "_"))(self.random.choice(list(self.machines.values())))
        self._later()

    def _duration(self, usual: float) -> float:
        return self.random.expovariate(1 / usual)

    # -- members

    def _supervise(self, machine: Machine) -> None:
        """What ended is started again; one that found damage stays down."""

        def boot() -> None:
            if not machine.alive and not machine.damaged and not machine.held:
                machine.boot()

        self.world.after(0.02 + self._duration(1.0), boot)

    def _kill(self, machine: Machine) -> None:
        if machine.alive:
            machine.end("kill")

    def _power(self, machine: Machine) -> None:
        if machine.alive:
            machine.end("power")

    def _power_of_all(self, _: Machine) -> None:
        for machine in self.machines.values():
            self._power(machine)

    def _stop(self, machine: Machine) -> None:
        if machine.serving:
            assert machine.parts is not None
            machine.parts.main.create_task(machine.stop(), name="stop")

    def _pause(self, machine: Machine) -> None:
        if machine.alive:
            assert machine.parts is not None
            process = machine.parts.process
            process.pause()
            self.world.after(self._duration(1.5), process.resume)

    def _leading(self) -> Machine | None:
        serving = [each for each in self.machines.values() if each.serving]
        return next((each for each in serving if each.parts and each.parts.replica.role.leading), None)

    def _move_the_leader(self, _: Machine) -> None:
        """As MoveLeader does, to any voter, also one that is down."""
        machine = self._leading()
        if machine is not None:
            assert machine.parts is not None
            replica = machine.parts.replica
            others = [each.id for each in replica.state.members.all() if not each.learner and each.id != machine.member]
            target = f"{self.random.choice(others):x}" if others else None
            machine.parts.main.create_task(_handed_over(replica, target), name="move the leader")

    def _die_at_the_disk(self, machine: Machine) -> None:
        machine.call_fails = self._fuse(self.random.randrange(1, 40))

    def _fuse(self, calls: int) -> Callable[[str], str]:
        """Ends the process at the disk call of this number; 0 never."""
        left = calls

        def burn(what: str) -> str:
            nonlocal left
            left -= 1
            return self.random.choice(("kill", "power")) if left == 0 else ""

        return burn

    # -- links

    def _cut(self, sender: str, receiver: str, seconds: float) -> None:
        link = self.network.link(sender, receiver)
        link.cut = True

        def mend() -> None:
            link.cut = False

        self.world.after(seconds, mend)

    def _other(self, machine: Machine) -> str:
        return self.random.choice([name for name in self.machines if name != machine.name] or [machine.name])

    def _part(self, machine: Machine) -> None:
        """Two sides that do not hear each other, clients on both."""
        names = list(self.machines)
        self.random.shuffle(names)
        middle = self.random.randrange(1, max(2, len(names)))
        seconds = self._duration(3.0)
        for one in names[:middle]:
            for other in names[middle:]:
                self._cut(one, other, seconds)
                self._cut(other, one, seconds)

    def _part_one_way(self, machine: Machine) -> None:
        self._cut(machine.name, self._other(machine), self._duration(3.0))

    def _isolate(self, machine: Machine) -> None:
        """Its peers do not hear it, or it does not hear them, or both; clients reach it."""
        seconds = self._duration(4.0)
        which = self.random.choice(("out", "in", "both"))
        for other in self.machines:
            if which != "in":
                self._cut(machine.name, other, seconds)
            if which != "out":
                self._cut(other, machine.name, seconds)

    def _cut_off_the_leader(self, machine: Machine) -> None:
        """It hears nobody and nobody hears it but its clients, long enough for another to be elected."""
        machine = self._leading() or machine
        seconds = 1.0 + self._duration(2.0)
        for other in self.machines:
            self._cut(machine.name, other, seconds)
            self._cut(other, machine.name, seconds)

    def _drop_connections(self, machine: Machine) -> None:
        for other in self.machines:
            self.network.drop_connections(machine.name, other)

    def _slow_link(self, machine: Machine) -> None:
        link = self.network.link(machine.name, self._other(machine))
        link.latency_s = self.random.choice((0.01, 0.05, 0.3))

        def mend() -> None:
            link.latency_s = LATENCY_S

        self.world.after(self._duration(3.0), mend)

    def _lossy_link(self, machine: Machine) -> None:
        link = self.network.link(machine.name, self._other(machine))
        link.late = self.random.choice((0.05, 0.3))

        def mend() -> None:
            link.late = 0.0

        self.world.after(self._duration(3.0), mend)

    # -- disks

    def _slow_disk(self, machine: Machine) -> None:
        habits = machine.platter.habits
        habits.sync_s = self.random.choice((0.005, 0.05, 0.4))

        def mend() -> None:
            habits.sync_s = SYNC_S

        self.world.after(self._duration(2.0), mend)

    def _full_disk(self, machine: Machine) -> None:
        """A member ends when its log does not fit, and is started again until it does."""
        habits = machine.platter.habits
        habits.free = 0

        def mend() -> None:
            habits.free = 1 << 40

        self.world.after(self._duration(2.0), mend)

    def _bit_rot(self, machine: Machine) -> None:
        """One machine's disk changes its mind about one bit, and its process starts again."""
        machine = next(iter(self.machines.values()))
        files = [inode for _, inode in machine.platter.files() if len(inode.seen)]
        if files:
            inode = self.random.choice(files)
            used = len(inode.seen.rstrip(b"\0")) or len(inode.seen)
            at, flip = self.random.randrange(used), 1 << self.random.randrange(8)
            inode.settle(self.world.now)
            for content in (inode.seen, inode.kept):
                if at < len(content):
                    content[at] ^= flip
            self.world.note(machine.name, f"a bit is flipped at byte {at} of {len(inode.seen)}")
        self._kill(machine)

    # -- the end

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self.world.note("**", "heal")
        for machine in self.machines.values():
            machine.call_fails = self._fuse(0)
            machine.platter.habits.sync_s = SYNC_S
            machine.platter.habits.free = 1 << 40
            for other in self.machines:
                link = self.network.link(machine.name, other)
                link.cut, link.late, link.latency_s = False, 0.0, LATENCY_S
            if machine.alive:
                assert machine.parts is not None
                machine.parts.process.resume()


async def _handed_over(replica: Replica, target: str | None) -> None:
    with suppress(errors.StoreError):
        await replica.hand_over(target)
