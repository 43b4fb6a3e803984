"""Whoever runs a cluster that grows and shrinks: one to five members, voters at once or learners first, leaders too.

Between steps it does what the members' list says: who is listed runs with a disk of that member, who is not is switched
off and its disk wiped. A step whose outcome it was not told is looked up like any other. One machine at a time may lose
its disk and come back under its old id, as if nothing had happened: it must not be let in.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from raftsman.etcd import rpc_pb2
from raftsman.store.raft.journal import Beginning

from .clients import Caller
from .machine import Machine
from .rpc import CallFailed

EVERY_S = 0.7
CALL_S = 4.0
MOST = 5
LOSES = 0.06
MOVES = 0.1
_Members = dict[str, Any]


class Resizer(Caller):
    """Changes the members until the run's faults end; then makes the machines what the list says."""

    def __init__(self, work: Any, name: str) -> None:
        super().__init__(work, name)
        self._grows = True
        self._adding = ""
        """The machine for which somebody was asked to add a member."""

    async def run(self) -> None:
        work = self.work
        while work.world.now < work.until:
            await asyncio.sleep(self.random.expovariate(1 / EVERY_S))
            await self._step()
        settled = False
        while not settled:
            await asyncio.sleep(self.random.random())
            settled = await self._settled()

    async def _step(self) -> None:
        listed = await self._listed()
        if listed is None:
            return
        await self._obey(listed)
        await self._change(listed)
        listed = await self._listed()
        if listed is not None:
            await self._obey(listed)

    async def _settled(self) -> bool:
        """Whether all that is listed runs, with nobody who lost its disk."""
        listed = await self._listed()
        if listed is None:
            return False
        await self._obey(listed)
        lost = self._lost(listed)
        if lost is not None:
            await self._remove(lost, listed)
        return lost is None

    # -- what is wanted

    async def _change(self, listed: _Members) -> None:
        """One change, of those that make sense."""
        lost = self._lost(listed)
        if lost is not None:
            await self._remove(lost, listed)
            return
        voters = [name for name, member in listed.items() if not member.isLearner]
        learners = [name for name, member in listed.items() if member.isLearner]
        if len(listed) >= MOST or len(listed) <= 1:
            self._grows = len(listed) <= 1
        draw = self.random.random()
        if draw < LOSES and len(voters) >= 3:
            self._lose_disk(self.random.choice(voters))
        elif draw < LOSES + MOVES:
            await self._move(self.random.choice(sorted(listed)), listed)
        elif learners and self.random.random() < 0.7:
            await self._call("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=listed[learners[0]].ID))
        elif (self.random.random() < 0.75) is self._grows:
            await self._add(listed)
        elif len(listed) > 1:
            await self._remove(self._who_goes(listed), listed)

    def _who_goes(self, listed: _Members) -> str:
        leading = [name for name in listed if self._leads(self.work.machines[name])]
        return leading[0] if leading and self.random.random() < 0.4 else self.random.choice(sorted(listed))

    def _leads(self, machine: Machine) -> bool:
        return machine.serving and machine.parts is not None and machine.parts.replica.role.leading

    def _lost(self, listed: _Members) -> str | None:
        return next((name for name in sorted(listed) if self.work.machines[name].lost), None)

    # -- the steps

    async def _add(self, listed: _Members) -> None:
        spare = [name for name in sorted(self.work.machines) if name not in listed]
        if spare:
            self._adding = self.random.choice(spare)
            url = f"http://{self._adding}:2380"
            await self._call(
                "MemberAdd", rpc_pb2.MemberAddRequest(peerURLs=[url], isLearner=self.random.random() < 0.6)
            )

    async def _remove(self, name: str, listed: _Members) -> None:
        await self._call("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=listed[name].ID))

    async def _move(self, name: str, listed: _Members) -> None:
        """Every machine listens at two names."""
        alias = name if listed[name].peerURLs[0].startswith(f"http://{name}b:") else f"{name}b"
        await self._call(
            "MemberUpdate", rpc_pb2.MemberUpdateRequest(ID=listed[name].ID, peerURLs=[f"http://{alias}:2380"])
        )

    def _lose_disk(self, name: str) -> None:
        machine = self.work.machines[name]
        if machine.joined is None and not machine.refused and len(machine.founders.members) > 1:
            self._note(f"{name} loses its disk")
            machine.wiped()
            machine.lost, machine.held = True, False
            machine.boot()

    # -- what the list says

    async def _obey(self, listed: _Members) -> None:
        for name, machine in sorted(self.work.machines.items()):
            member = listed.get(name)
            if member is None:
                if not machine.spare:
                    self._note(f"{name} is out")
                    machine.switch_off()
            elif machine.spare or machine.member != member.ID:
                if not machine.spare:
                    machine.switch_off()
                beginning = self._beginning(member.ID)
                if beginning is not None:
                    self._note(f"{name} joins as {member.ID:x}")
                    machine.joins(member.ID, beginning)

    def _start_added(self) -> None:
        """One of two is no majority: the other must be started by what any member says, not by what most say."""
        machine = self.work.machines.get(self._adding)
        if machine is None or not machine.spare:
            return
        for _, other in sorted(self.work.machines.items()):
            kernel = other.parts.kernel if other.serving and other.parts is not None else None
            known = kernel.journal.members.all() if kernel is not None else []
            for member in known:
                if member.peer_urls == (f"http://{machine.name}:2380",) and not member.name:
                    self._note(f"{machine.name} joins as {member.id:x}")
                    machine.joins(
                        member.id, Beginning(changed=kernel.journal.changed, members=kernel.journal.members.dump())
                    )
                    return

    def _beginning(self, number: int) -> Beginning | None:
        """What a new member is told by the first that answers and knows it."""
        machines = [machine for _, machine in sorted(self.work.machines.items())]
        self.random.shuffle(machines)
        for machine in machines:
            kernel = machine.parts.kernel if machine.serving and machine.parts is not None else None
            if kernel is not None and kernel.journal.members.get(number) is not None:
                return Beginning(changed=kernel.journal.changed, members=kernel.journal.members.dump())
        return None

    async def _listed(self) -> _Members | None:
        answer = await self._call("MemberList", rpc_pb2.MemberListRequest(linearizable=True))
        if answer is None:
            self._start_added()
            return None
        return {(urlsplit(member.peerURLs[0]).hostname or "").removesuffix("b"): member for member in answer.members}

    async def _call(self, method: str, request: Any) -> Any:
        self._note(f"{method} {' '.join(str(request).split())}")
        try:
            return await self.channel().call("Cluster", method, request, seconds=CALL_S)
        except CallFailed as error:
            self._note(f"{method}: {error.code.name} {error.text}")
            self.give_up_on_it()
            return None

    def _note(self, what: str) -> None:
        self.work.world.note(self.name, what)
