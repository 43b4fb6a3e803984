"""One run: a cluster, clients and faults from a seed; then peace, and everything must have come together.

`simulate` raises nothing: a Result says what was broken, if something was. In peace every member must serve, agree with
the others and answer within CONVERGE_S; what clients saw must be linearizable, what watchers saw complete.
"""

from __future__ import annotations

import gc
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

import msgspec
from raftsman.store import cluster
from raftsman.testing import linearizability

from .clients import Caller, Workload
from .disk import Platter
from .faults import BIT_ROT, KINDS, Faults
from .invariants import Invariants
from .machine import Machine, Machines, Sizes, seams
from .network import Network
from .operator import Operator
from .resizer import MOST, Resizer
from .retries import Persistent
from .world import Violation, World

CONVERGE_S = 40.0
QUIET_S = 4.0
"""After which every watcher has found a member and heard everything."""
SKEW = 0.02


@dataclass(frozen=True)
class Plan:
    """What a run is, all of it drawn from its seed but for what the caller sets."""

    seed: str
    members: int
    seconds: float
    kinds: tuple[str, ...]
    every_s: float
    sizes: Sizes
    keys: int
    clients: int
    skewed: bool
    lease_share: float = 1.0
    replaced: bool = False
    """Whether an operator replaces members meanwhile."""
    resized: bool = False
    """Whether the cluster grows and shrinks meanwhile."""

    @classmethod
    def drawn(cls, seed: str, *, members: int = 0, seconds: float = 0.0, kinds: Sequence[str] | None = None) -> Plan:
        random = Random(f"{seed}/plan")
        some = random.sample(KINDS, random.randrange(2, len(KINDS) + 1))
        return cls(
            seed=seed,
            members=members or random.choice((3, 3, 3, 5, 1)),
            seconds=seconds or random.choice((5.0, 10.0, 10.0, 20.0)),
            kinds=tuple(kinds) if kinds is not None else tuple(some),
            every_s=random.choice((0.3, 1.0, 2.5)),
            sizes=Sizes.drawn(random),
            keys=random.choice((2, 5, 20)),
            clients=random.choice((2, 4, 8)),
            skewed=random.random() < 0.5,
            lease_share=random.choice((1.0, 1.0, 1.0, 15.0)),
            replaced=random.random() < 0.3,
            resized=random.random() < 0.3,
        )


@dataclass
class Result:
    """How a run ended: `broken` is the sentence of what was, "" when nothing was."""

    plan: Plan
    broken: str
    fingerprint: str
    lines: list[str] = field(default_factory=list)
    answered: int = 0
    faults: int = 0
    revision: int = 0
    operations: int = 0
    refused: list[str] = field(default_factory=list)
    """Why members did not start at the end."""


Alteration = Callable[["Run"], Any]
"""A context manager that changes the code under test for one run: a negative control."""


class Run:
    """Everything of one run."""

    def __init__(self, plan: Plan, *, keep_all: bool = False) -> None:
        self.plan = plan
        self.world = World(plan.seed, keep_all=keep_all)
        self.network = Network(self.world)
        self.machines = Machines()
        self.invariants = Invariants(self.world, self.machines)
        self.work = Workload(
            self.world,
            self.network,
            self.machines,
            keys=plan.keys,
            clients=plan.clients,
            lease_share=plan.lease_share,
            persistent=Persistent,
            operator=_operator(plan),
        )
        self._members()
        self.faults = Faults(self.world, self.network, self.machines, plan.kinds, plan.every_s)
        self.network.tap = self._tap

    def _members(self) -> None:
        names = [f"m{number}" for number in range(1, self.plan.members + 1)]
        initial = {name: (f"http://{name}:2380",) for name in names}
        random = self.world.random("members")
        spares = [f"m{number}" for number in range(self.plan.members + 1, MOST + 1)] if self.plan.resized else []
        for name in names + spares:
            self.network.machine(name, name)
            self.network.machine(name, f"{name}b")
            self.machines[name] = Machine(
                world=self.world,
                network=self.network,
                name=name,
                founders=cluster.founders(name=name if name in initial else names[0], initial=initial, token="sim"),
                sizes=self.plan.sizes,
                rate=1.0 + random.uniform(-SKEW, SKEW) if self.plan.skewed else 1.0,
                platter=Platter(self.world.random(f"disk {name}")),
                watcher=self.invariants,
                spare=name in spares,
                held=name in spares,
                machines=self.machines,
            )

    def _tap(self, sender: str, receiver: str, data: bytes) -> None:
        message = msgspec.msgpack.decode(data[4:])
        self.world.note(sender, f"to {receiver}: {_told(message)}")

    # -- the course of things

    def go(self, alteration: Alteration | None = None) -> Result:
        broken = ""
        with ExitStack() as stack:
            stack.enter_context(seams(self.world, self.machines, self.plan.sizes))
            stack.enter_context(self.invariants.eyes())
            if alteration is not None:
                stack.enter_context(alteration(self))
            try:
                self._course()
            except Violation as violation:
                broken = str(violation)
            except Exception:
                broken = "the simulation broke: " + traceback.format_exc()
            finally:
                self._end()
        return Result(
            plan=self.plan,
            broken=broken,
            fingerprint=self.world.fingerprint,
            lines=list(self.world.lines),
            answered=self.work.answered,
            faults=self.faults.count,
            revision=self.work.highest,
            operations=len(self.work.history.operations),
            refused=[machine.refused for machine in self.machines.values() if machine.damaged],
        )

    def _course(self) -> None:
        world, work = self.world, self.work
        for machine in self.machines.values():
            if not machine.spare:
                machine.boot()
        start = world.now
        work.until = self.faults.until = start + self.plan.seconds
        work.start()
        self.faults.start()
        world.run(until=work.until)
        self.faults.heal()
        converge_s = CONVERGE_S if BIT_ROT not in self.plan.kinds else 5.0
        world.run(until=world.now + converge_s, done=self._converged)
        if not self._converged() and BIT_ROT not in self.plan.kinds:
            world.violate(f"{CONVERGE_S:.0f} s after everything was mended: {self._state_of_things()}")
        world.run(until=world.now + QUIET_S)
        self._judge()

    def _converged(self) -> bool:
        machines = [machine for machine in self.machines.values() if not machine.spare]
        if not self.work.done or not all(machine.serving for machine in machines):
            return False
        replicas = [machine.parts.replica for machine in machines if machine.parts is not None]
        same = {(replica.applied, replica.role.leader, replica.role.term) for replica in replicas}
        return len(same) == 1 and any(replica.role.leading for replica in replicas)

    def _state_of_things(self) -> str:
        if not self.work.done:
            return "clients still wait"
        parts = []
        for machine in self.machines.values():
            if machine.parts is None or not machine.serving:
                parts.append(f"{machine.name} is not serving {machine.refused}")
            else:
                replica = machine.parts.replica
                parts.append(f"{machine.name} applied {replica.applied}, {replica.role}")
        return "; ".join(parts)

    def _judge(self) -> None:
        world, evidence = self.world, self.invariants.evidence()
        for machine in self.machines.values():
            if machine.parts is not None and machine.parts.process.exceptions:
                world.violate(f"{machine.name} left an exception: {machine.parts.process.exceptions[0]}")
        try:
            verdict = linearizability.check(self.work.finish().operations, evidence=evidence)
        except linearizability.Undecided as error:
            world.violate(f"not decided: {error}")
        if not verdict.ok:
            world.violate(f"not linearizable: {verdict}")
        self._puts_happened_once()
        for watched in self.work.watched:
            up_to = self.work.highest if BIT_ROT not in self.plan.kinds else 0
            breaches = linearizability.check_watch(watched, evidence, compacted=self.invariants.compacted, up_to=up_to)
            if breaches:
                world.violate(f"watcher {watched.name}: {breaches[0].promise}: {breaches[0].sentence}")

    def _puts_happened_once(self) -> None:
        first: dict[bytes, int] = {}
        for revision, changes in self.invariants.changes.items():
            for key, value, *_ in changes:
                if value and first.setdefault(value, revision) != revision:
                    self.world.violate(
                        f"{value[:20]!r} was put twice, at {first[value]} and at {revision}, key {key!r}"
                    )

    def _end(self) -> None:
        for machine in self.machines.values():
            if machine.alive:
                assert machine.parts is not None
                machine.parts.process.end()


def _operator(plan: Plan) -> type[Caller] | None:
    if plan.resized:
        return Resizer
    return Operator if plan.replaced and plan.members > 2 else None


def _told(message: Any) -> str:
    """A peer's message in a line."""
    if not isinstance(message, dict):
        return repr(message)[:80]
    said = []
    for key, value in message.items():
        if key == "entries":
            said.append(f"entries={len(value)}")
        elif isinstance(value, bytes):
            said.append(f"{key}={len(value)}B")
        elif key != "type":
            said.append(f"{key}={value}")
    return f"{message.get('type', 'hello')} {' '.join(said)}"


def simulate(
    plan: Plan, *, keep_all: bool = False, alteration: Alteration | None = None, scene: type[Run] = Run
) -> Result:
    """Run a plan. The collector is off meanwhile: what it would run at its own times belongs to no seed."""
    gc.disable()
    try:
        return scene(plan, keep_all=keep_all).go(alteration)
    finally:
        # Coroutines of processes that died are closed now, which not all of them take well, and which brings the rest
        # of their process back to life for one more round. None may be left for others: a collector that closes them
        # while pytest parses a source has that fail (cpython's issue 106905).
        with mock.patch.object(sys, "unraisablehook", print_nothing), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # some were never awaited
            while gc.collect():
                pass
        gc.enable()


def print_nothing(_: object) -> None:
    """What nobody can act on."""
