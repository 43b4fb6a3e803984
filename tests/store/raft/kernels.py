"""Kernels in one process: messages go by hand, nothing waits for a clock."""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path
from random import Random
from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport
from raftsman.store import wal
from raftsman.store.raft.guard import Guard, Message
from raftsman.store.raft.journal import WalJournal
from raftsman.store.raft.kernel import Kernel
from raftsman.store.wal.disk import File, Real


class Unsynced(Real):
    """A disk for tests that lose no power."""

    def sync_data(self, file: File) -> None:
        """Not."""

    def sync(self, file: File) -> None:
        """Not."""

    def sync_folder(self, folder: Path) -> None:
        """Not."""


class Net:
    """Queues between members; a test delivers, drops and reorders."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], deque[Message]] = defaultdict(deque)
        self.members: dict[str, Member] = {}

    def deliver(self, *, rounds: int = 20) -> None:
        """Everything that is under way, until nothing is."""
        for _ in range(rounds):
            if not any(self.queues.values()):
                return
            for (sender, receiver), queue in list(self.queues.items()):
                while queue:
                    self.members[receiver].receive(sender, queue.popleft())
            for member in self.members.values():
                member.settle()


class _Transport(Transport):  # type: ignore[misc]
    ready = True

    def __init__(self, member: Member) -> None:
        super().__init__(None, None, None)
        self._member = member

    def send(self, node: Node, message: Message) -> bool:
        return self._member.guard.outgoing(node, message)

    def destroy(self) -> None:
        """Nothing to close."""


class Member:
    """A kernel, its guard and its journal; `commands` is what the next ticks append."""

    def __init__(self, net: Net, name: str, others: list[str], folder: Path) -> None:
        self.net, self.name = net, name
        self.commands: deque[bytes] = deque()
        self.committed_commands: list[tuple[int, int, bytes]] = []
        self.snapshots_wanted: list[Node] = []
        self.journal = WalJournal(wal.Wal(folder, segment_bytes=1 << 16, disk=Unsynced()))
        self.transport = _Transport(self)
        self.guard = Guard(self.post)
        self.kernel = Kernel(name, others, journal=self.journal, transport=self.transport, hooks=self, random=Random())
        self.guard.attach(self.kernel, self.transport._onMessageReceived)
        self.kernel.start_from(1, 0)
        for other in others:
            self.transport._onNodeConnected(Node(other))
        net.members[name] = self

    def post(self, node: Node, message: Message) -> bool:
        self.net.queues[self.name, node.id].append(dict(message))
        return True

    def receive(self, sender: str, message: Message) -> None:
        if message["type"] == "term":
            return
        self.guard.incoming(Node(sender), message)

    def settle(self) -> None:
        """What follows messages: sync, then acks."""
        self.journal.sync()
        self.guard.release()

    def tick(self) -> None:
        self.kernel.doTick(0.0)
        self.settle()

    def campaign(self) -> None:
        self.kernel.campaign_now()
        self.tick()

    # -- kernel.Hooks

    def next_entry(self) -> bytes | None:
        return self.commands.popleft() if self.commands else None

    def committed(self, index: int, term: int, command: bytes) -> None:
        self.committed_commands.append((index, term, command))

    def snapshot_wanted(self, node: Node) -> None:
        self.snapshots_wanted.append(node)

    @property
    def applied(self) -> list[bytes]:
        return [command for _, _, command in self.committed_commands if command[0] == 0]


def members(folder: Path, count: int = 3) -> tuple[Net, list[Any]]:
    """Members of one cluster, none of which leads."""
    net, names = Net(), [f"10.0.0.{number}:2380" for number in range(1, count + 1)]
    found = [Member(net, name, [other for other in names if other != name], folder / name[:8]) for name in names]
    return net, found


def led(folder: Path, count: int = 3) -> tuple[Net, list[Any]]:
    """The same, the first of which leads and committed its no-op."""
    net, found = members(folder, count)
    found[0].campaign()
    net.deliver()
    beat(net, found[0])
    assert found[0].kernel.serving()
    return net, found


def beat(net: Net, leader: Any, rounds: int = 3) -> None:
    """Heartbeats and their acks."""
    for _ in range(rounds):
        leader.kernel.heartbeat_now()
        leader.tick()
        net.deliver()
        for member in net.members.values():
            member.tick()
    net.deliver()
