"""What happens to members and to the network, drawn from the seed: two hands, one for each, at the same time.

Every fault heals by itself after a while. `finish` lets what is under way end and mends everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import grpc
import grpc.aio
from raftsman.etcd import rpc_pb2, rpc_pb2_grpc

from .mistaken import STEP, command
from .nodes import Cluster, Node
from .switch import Switch

MEMBERSHIP_S = 60.0
ASK_S = 8.0
DISARM_S = 10.0
KINDS = (
    "kill", "kill the leader", "kill all", "die at a step", "pause", "pause the leader", "restart", "away", "replace",
    "move the leader", "cut off", "cut off the leader", "one way", "one way to the leader", "weather", "cut streams",
    "full disk",
)  # fmt: skip


@dataclass
class Faults:
    """`kinds` are those that may happen; `note` is told what does."""

    cluster: Cluster
    switch: Switch
    random: Random
    kinds: Sequence[str]
    note: Callable[[str], None]
    count: int = 0
    stopping: bool = False
    _hands: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        by_name = self._members_hand(), self._network_hand()
        for hand in by_name:
            allowed = {name: fault for name, fault in hand.items() if name in self.kinds}
            if allowed:
                self._hands.append(asyncio.get_running_loop().create_task(self._go_on(allowed)))

    def _members_hand(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "kill": lambda: self._kill([self._any()]),
            "kill the leader": self._kill_leader,
            "kill all": lambda: self._kill(self.cluster.nodes),
            "die at a step": self._die_at_a_step,
            "pause": lambda: self._pause(self._any()),
            "pause the leader": self._pause_leader,
            "restart": self._restart_one_by_one,
            "away": self._away,
            "full disk": self._full_disk,
            "replace": self._replace,
            "move the leader": self._move_leader,
        }

    def _network_hand(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "cut off": lambda: self._cut_off(self._any()),
            "cut off the leader": self._cut_off_leader,
            "one way": lambda: self._one_way(self._any()),
            "one way to the leader": self._one_way_leader,
            "weather": self._weather,
            "cut streams": self._cut_streams,
        }

    async def _go_on(self, faults: dict[str, Callable[[], Awaitable[None]]]) -> None:
        while not self.stopping:
            await asyncio.sleep(self.random.uniform(0.2, 1.5))
            name = self.random.choice(sorted(faults))
            self.count += 1
            self.note(name)
            await faults[name]()

    async def finish(self) -> None:
        self.stopping = True
        await asyncio.gather(*self._hands)
        self.cluster.network.heal()
        if "full disk" in self.kinds:
            await self.disarm()

    def cancel(self) -> None:
        for hand in self._hands:
            hand.cancel()

    def _any(self) -> Node:
        return self.random.choice(self.cluster.nodes)

    async def _leader(self) -> Node:
        return await self.cluster.leader() or self._any()

    async def _a_while(self, seconds: float) -> None:
        """Less when the run is over."""
        until = time.monotonic() + self.random.uniform(0.1, 1.0) * seconds
        while time.monotonic() < until and not self.stopping:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    # -- members

    async def _kill(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            node.kill()
        await self._a_while(2.0)
        for node in nodes:
            node.start()
        await self._a_while(3.0)

    async def _kill_leader(self) -> None:
        await self._kill([await self._leader()])

    async def _die_at_a_step(self) -> None:
        node = self._any()
        node.kill()
        await self._dying(node)
        await self._a_while(2.0)

    async def _dying(self, node: Node) -> None:
        """A member dies at one of its disk's calls: while it starts, writes, rolls its log or makes a snapshot."""
        step = int(self.random.choice((30, 300, 2000)) * self.random.random()) + 1
        node.start(command=command(f"{STEP}{step}"))
        until = time.monotonic() + 8.0
        while time.monotonic() < until and not self.stopping and not node.ended:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if node.ended:
            self.note(f"{node.name} died at step {step}")
        node.kill()
        node.start()

    async def _pause(self, node: Node) -> None:
        node.pause()
        await self._a_while(4.0)
        node.resume()

    async def _pause_leader(self) -> None:
        await self._pause(await self._leader())

    async def _restart_one_by_one(self) -> None:
        for node in self.random.sample(self.cluster.nodes, len(self.cluster.nodes)):
            await node.stop()
            node.start()
            await self._serves(node)

    async def _serves(self, node: Node) -> None:
        """Wait a while for a member to be there again; under other faults it may not."""
        until = time.monotonic() + 6.0
        while time.monotonic() < until and not node.ended:
            try:
                if (await node.status()).leader:
                    return
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)

    async def _away(self) -> None:
        """For longer than the log goes back."""
        node = self._any()
        node.kill()
        await self._a_while(10.0)
        node.start()

    async def _full_disk(self) -> None:
        """Then an operator makes room and disarms."""
        node = self._any()
        node.fill_the_disk()
        if self.random.random() < 0.3:
            await self._kill([node])
        await self._a_while(4.0)
        node.empty_the_disk()
        if node.ended:
            self.note(f"{node.name} ended: {node.log.splitlines()[-1]}")
            node.start()
        await self.disarm()

    async def disarm(self) -> None:
        """Until nobody raises an alarm again; under other faults not for ever."""
        quiet, until = 0, time.monotonic() + DISARM_S
        while quiet < 3 and time.monotonic() < until:
            stub = rpc_pb2_grpc.MaintenanceStub(self._any().open())
            try:
                raised = (await stub.Alarm(rpc_pb2.AlarmRequest(), timeout=2)).alarms
                quiet = 0 if raised else quiet + 1
                if raised:
                    self.note(f"disarming {rpc_pb2.AlarmType.Name(raised[0].alarm)}")
                for each in raised:
                    request = rpc_pb2.AlarmRequest(
                        action=rpc_pb2.AlarmRequest.DEACTIVATE, memberID=each.memberID, alarm=each.alarm
                    )
                    await stub.Alarm(request, timeout=2)
            except grpc.aio.AioRpcError:
                quiet = 0
            await asyncio.sleep(0.2)

    async def _move_leader(self) -> None:
        leader, target = await self._leader(), self._any()
        try:
            request = rpc_pb2.MoveLeaderRequest(targetID=(await target.status()).header.member_id)
            await rpc_pb2_grpc.MaintenanceStub(leader.open()).MoveLeader(request, timeout=ASK_S)
        except grpc.aio.AioRpcError as error:
            self.note(f"not moved: {error.details()}")

    # -- membership

    async def _replace(self) -> None:
        """A member loses its disk: it is removed and added again, sometimes as a learner that is promoted.

        It, or another member, may die at one of its disk's calls meanwhile.
        """
        lost, learner = self._any(), self.random.random() < 0.5
        other = self.random.choice([node for node in self.cluster.nodes if node is not lost])
        lost.kill()
        lost.lose_the_disk()
        async with asyncio.timeout(MEMBERSHIP_S), asyncio.TaskGroup() as tasks:
            if self.random.random() < 0.3:
                other.kill()
                tasks.create_task(self._dying(other))
            await self._until_listed(lost, lambda member: member is None, self._remove)
            await self._until_listed(lost, lambda member: member is not None, self._adding(lost, learner=learner))
            lost.state = "existing"
            lost.joins = self.cluster.all_urls
            if self.random.random() < 0.4:
                await self._dying(lost)
            else:
                lost.start()
            if learner:
                await self._until_listed(lost, lambda member: member is not None and not member.isLearner, _promote)
        self.note(f"{lost.name} replaced{' as a learner' if learner else ''}")

    async def _until_listed(
        self,
        lost: Node,
        as_wanted: Callable[[rpc_pb2.Member | None], bool],
        change: Callable[[rpc_pb2_grpc.ClusterStub, rpc_pb2.Member | None], Awaitable[None]],
    ) -> None:
        """Ask for a change, of anybody, until the list of members shows it."""
        others = [node for node in self.cluster.nodes if node is not lost]
        said = ""
        while True:
            stub = rpc_pb2_grpc.ClusterStub(self.random.choice(others).open())
            try:
                answer = await stub.MemberList(rpc_pb2.MemberListRequest(linearizable=True), timeout=ASK_S)
                member = next((each for each in answer.members if lost.peer_url in each.peerURLs), None)
                if as_wanted(member):
                    return
                await change(stub, member)
            except grpc.aio.AioRpcError as error:
                if said != (error.details() or ""):
                    said = error.details() or ""
                    self.note(f"membership: {said}")
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                self.note(f"membership did not change: {said}")
                raise

    async def _remove(self, stub: rpc_pb2_grpc.ClusterStub, member: rpc_pb2.Member | None) -> None:
        assert member is not None
        await stub.MemberRemove(rpc_pb2.MemberRemoveRequest(ID=member.ID), timeout=ASK_S)

    def _adding(
        self, lost: Node, *, learner: bool
    ) -> Callable[[rpc_pb2_grpc.ClusterStub, rpc_pb2.Member | None], Awaitable[None]]:
        async def add(stub: rpc_pb2_grpc.ClusterStub, _: rpc_pb2.Member | None) -> None:
            await stub.MemberAdd(rpc_pb2.MemberAddRequest(peerURLs=[lost.peer_url], isLearner=learner), timeout=ASK_S)

        return add

    # -- the network

    async def _cut_off(self, node: Node) -> None:
        self.cluster.network.cut_off({node.place})
        await self._a_while(5.0)
        self.cluster.network.heal()

    async def _cut_off_leader(self) -> None:
        await self._cut_off(await self._leader())

    async def _one_way(self, node: Node) -> None:
        """It hears nobody, or nobody hears it."""
        deaf = self.random.random() < 0.5
        for other in self.cluster.nodes:
            if other is not node:
                ends = (other.place, node.place) if deaf else (node.place, other.place)
                self.cluster.network.one_way(*ends, cut=True)
        await self._a_while(5.0)
        self.cluster.network.heal()

    async def _one_way_leader(self) -> None:
        await self._one_way(await self._leader())

    async def _weather(self) -> None:
        choose = self.random.choice
        self.cluster.network.everywhere(
            delay=choose((0.0, 0.005, 0.05)),
            jitter=choose((0.0, 0.01, 0.1)),
            loss=choose((0.0, 0.02, 0.1)),
            double=choose((0.0, 0.1)),
        )
        await self._a_while(6.0)
        self.cluster.network.heal()

    async def _cut_streams(self) -> None:
        self.switch.cut()


async def _promote(stub: rpc_pb2_grpc.ClusterStub, member: rpc_pb2.Member | None) -> None:
    assert member is not None
    await stub.MemberPromote(rpc_pb2.MemberPromoteRequest(ID=member.ID), timeout=ASK_S)
