"""A keep-alive that was answered is honoured, also by the leader that came after the one that answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from raftsman.etcd import rpc_pb2
from sim.clients import RATE_SKEW
from sim.loop import Process
from sim.machine import Machine
from sim.rpc import CallFailed, Channel
from sim.run import Plan, Result, Run, simulate

LEASE, TTL = 7, 3
LATER_S = 1.5
"""How long a successor has led when the old leader is asked."""


class OldLeader(Run):
    """A leader is cut off and stands still until another leads; then it is asked to keep a lease alive."""

    def _course(self) -> None:
        old = self._led()
        lease = self._client(self._grant(old))
        self._until(lease.done)
        assert old.parts is not None
        term = old.parts.replica.role.term
        for machine in self.machines.values():
            for one, other in ((old, machine), (machine, old)):
                self.network.link(one.name, other.name).cut = True
        old.parts.process.pause()
        self._until(lambda: self._leader(term) is not None)
        self.world.run(until=self.world.now + LATER_S)
        kept = self._client(self._keep(old))
        self.world.run(until=self.world.now + 0.1)
        old.parts.process.resume()
        self.world.run(until=self.world.now + 0.5)
        self.faults.heal()
        self._until(kept.done)
        self._lives_until(kept.result())

    def _led(self) -> Machine:
        for machine in self.machines.values():
            machine.boot()
        self._until(lambda: self._leader(0) is not None)
        leader = self._leader(0)
        assert leader is not None
        return leader

    def _leader(self, term: int) -> Machine | None:
        """Who believes to lead in a later term."""
        for machine in self.machines.values():
            if machine.serving and machine.parts is not None:
                role = machine.parts.replica.role
                if role.leading and role.term > term:
                    return machine
        return None

    def _lives_until(self, end: float) -> None:
        if not end:
            return
        self.work.answered += 1
        self.world.run(until=end)
        for machine in self.machines.values():
            assert machine.parts is not None
            if machine.parts.replica.state.leases.get(LEASE) is None:
                self.world.violate(f"{machine.name} ended a lease that was kept alive")

    def _until(self, done: Callable[[], bool]) -> None:
        self.world.run(until=self.world.now + 15.0, done=done)
        assert done()

    # -- the client

    def _client(self, work: Any) -> asyncio.Task[Any]:
        loop = Process(self.world, "c9").loop("main")
        loop.network = self.network
        return loop.create_task(work)

    def _channel(self, machine: Machine) -> Channel:
        return Channel(self.network, asyncio.get_running_loop(), machine)  # type: ignore[arg-type]

    async def _grant(self, machine: Machine) -> None:
        await self._channel(machine).call("Lease", "LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=LEASE, TTL=TTL))

    async def _keep(self, machine: Machine) -> float:
        """Until when the lease must live; 0 when nothing was promised."""
        asked = self.world.now
        try:
            request = rpc_pb2.LeaseKeepAliveRequest(ID=LEASE)
            answer = await anext(self._channel(machine).stream("Lease", "LeaseKeepAlive", [request]))
        except CallFailed:
            return 0.0
        return asked + answer.TTL / RATE_SKEW if answer.TTL else 0.0


def played(number: int) -> Result:
    plan = Plan.drawn(f"old leader {number}", members=3, seconds=1.0, kinds=())
    return simulate(replace(plan, resized=False, replaced=False), scene=OldLeader)


def test_a_leader_that_was_replaced_promises_no_time_that_its_successor_does_not_give() -> None:
    results = [played(number) for number in range(8)]
    assert [result.broken for result in results if result.broken] == []
    assert sum(result.answered for result in results) >= 4, "too few were promised anything"
