"""Whoever runs the cluster: takes a member out, gives its machine an empty disk, brings it back under a new id.

One replacement at a time, step by step as an operator would: remove, add as a learner, start, promote; each step is
asked for again until the members' list shows it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from raftsman.etcd import rpc_pb2
from raftsman.store.raft.journal import Beginning

from .clients import Caller
from .machine import Machine
from .rpc import CallFailed

EVERY_S = 2.5
AGAIN_S = 0.4


class Operator(Caller):
    """Replaces members until the run's faults end."""

    async def run(self) -> None:
        work = self.work
        while work.world.now < work.until:
            await asyncio.sleep(self.random.expovariate(1 / EVERY_S))
            await self._replace(self.random.choice(list(work.machines.values())))

    async def _replace(self, machine: Machine) -> None:
        old = machine.member
        machine.leaving = True
        self._note(f"replaces {machine.name}, {old:x}")
        await self._until(
            lambda members: all(old != member.ID for member in members),
            lambda: ("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=old)),
        )
        machine.wiped()
        url = f"http://{machine.name}:2380"
        added = rpc_pb2.MemberAddRequest(peerURLs=[url], isLearner=True)
        members = await self._until(
            lambda members: any(url in member.peerURLs for member in members), lambda: ("MemberAdd", added)
        )
        number = next(member.ID for member in members if url in member.peerURLs)
        machine.joins(number, await self._beginning(number))
        await self._until(
            lambda members: any(number == member.ID and not member.isLearner for member in members),
            lambda: ("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=number)),
        )
        self._note(f"replaced {machine.name}, {number:x}")

    async def _until(self, shown: Any, ask: Any) -> Any:
        """Ask until the list of members shows it."""
        while True:
            answer = await self._call("MemberList", rpc_pb2.MemberListRequest(linearizable=True))
            if answer is not None and shown(answer.members):
                return answer.members
            if answer is not None:
                await self._call(*ask())
            await asyncio.sleep(AGAIN_S * self.random.random())

    async def _call(self, method: str, request: Any) -> Any:
        try:
            return await self.channel().call("Cluster", method, request, seconds=4.0)
        except CallFailed as error:
            self._note(f"{method}: {error.code.name} {error.text}")
            self.give_up_on_it()
            return None

    async def _beginning(self, number: int) -> Beginning:
        """What a new member asks of the others before it starts."""
        while True:
            for machine in self.work.machines.values():
                if machine.serving and machine.parts is not None:
                    journal = machine.parts.kernel.journal
                    if any(member.id == number for member in journal.members.all()):
                        return Beginning(changed=journal.changed, members=journal.members.dump())
            await asyncio.sleep(AGAIN_S)

    def _note(self, what: str) -> None:
        self.work.world.note(self.name, what)
