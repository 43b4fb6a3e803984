"""TCP between simulated machines: in order or not at all, late, in pieces, cut off, and lost with its connection.

A link has a direction. What is sent while it is cut waits and is sent again later and later, as TCP does. A killed
process resets its connections; a machine without power says nothing, and answers with a reset only once it is back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from .loop import Loop, Process, now_here
from .world import World

LATENCY_S = 200e-6
RESEND_FIRST_S = 0.2
RESEND_MAX_S = 6.0
DIAL_FIRST_S = 1.0
DIAL_TRIES = 6
GIVE_UP_S = 30.0
WINDOW = 64 << 10
SPLIT = 0.05

Address = tuple[str, int]


@dataclass
class Link:
    """One direction between two machines."""

    latency_s: float = LATENCY_S
    cut: bool = False
    late: float = 0.0
    """The share of what is sent that is lost once and sent again."""


class Network:
    """Every link, every listener, every connection."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random: Random = world.random("network")
        self.powered: dict[str, bool] = {}
        self.pipes: list[Pipe] = []
        self.tap: Callable[[str, str, bytes], None] = lambda sender, receiver, data: None
        self._links: dict[tuple[str, str], Link] = {}
        self._listeners: dict[Address, tuple[Loop, Any]] = {}
        self._hosts: dict[str, str] = {}

    def machine(self, name: str, host: str) -> None:
        self._hosts[host] = name
        self.powered[name] = True

    def link(self, sender: str, receiver: str) -> Link:
        return self._links.setdefault((sender, receiver), Link())

    def delay(self, link: Link) -> float:
        delay = link.latency_s * (0.5 + self.random.random())
        if link.late and self.random.random() < link.late:
            delay += RESEND_FIRST_S
        return delay

    # -- what loops ask

    def listen(self, loop: Loop, factory: Any, address: Address) -> _Listening:
        held = self._listeners.get(address)
        if held is not None and held[0].process.alive:
            raise OSError(98, f"address {address} is in use")
        self._listeners[address] = (loop, factory)
        return _Listening(self, address, loop)

    async def connect(self, loop: Loop, factory: Any, address: Address) -> Any:
        """A handshake; sent again and again while nothing comes back."""
        me, there = loop.process.name, self._hosts[address[0]]
        wait = DIAL_FIRST_S
        for _ in range(DIAL_TRIES):
            await asyncio.sleep(self.delay(self.link(me, there)))
            if not self.link(me, there).cut and not self.link(there, me).cut and self.powered[there]:
                return self._accepted(loop, factory, address)
            await asyncio.sleep(wait)
            wait *= 2
        raise TimeoutError(110, "Connection timed out")

    def _accepted(self, loop: Loop, factory: Any, address: Address) -> Any:
        listening = self._listeners.get(address)
        if listening is None or not listening[0].process.alive:
            raise ConnectionRefusedError(111, "Connection refused")
        there, their_factory = listening
        mine, theirs = Pipe(self, loop), Pipe(self, there)
        mine.other, theirs.other = theirs, mine
        mine.protocol = factory()
        self.pipes += (mine, theirs)
        loop.call_soon(mine.protocol.connection_made, mine)
        there.call_soon(theirs.greet, their_factory)
        return mine, mine.protocol

    def forget(self, address: Address, loop: Loop) -> None:
        if self._listeners.get(address, (None,))[0] is loop:
            del self._listeners[address]

    # -- what becomes of machines

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """A killed process's machine closes its connections; one without power does not."""
        for pipe in self.pipes:
            if pipe.loop.process is process:
                pipe.gone = True
                if not power_lost and pipe.other is not None:
                    pipe.other.reset_soon(by=pipe)
        self.pipes = [pipe for pipe in self.pipes if not pipe.gone]

    def drop_connections(self, one: str, other: str) -> None:
        for pipe in list(self.pipes):
            if pipe.name == one and pipe.other is not None and pipe.other.name == other:
                pipe.broken()
                pipe.other.broken()


class _Listening:
    """What create_server answers."""

    def __init__(self, network: Network, address: Address, loop: Loop) -> None:
        self._network, self._address, self._loop = network, address, loop

    def close(self) -> None:
        self._network.forget(self._address, self._loop)

    async def wait_closed(self) -> None:
        """It is closed at once."""


class Pipe(asyncio.Transport):
    """One end of a connection: what it writes arrives at the other."""

    def __init__(self, network: Network, loop: Loop) -> None:
        super().__init__()
        self.loop = loop
        self.protocol: Any = None
        self.other: Pipe | None = None
        self.gone = False
        self._network = network
        self._closing = False
        self._sent: deque[tuple[float, float, bytes]] = deque()
        """When it arrives at the earliest, when it was sent, what."""
        self._under_way = 0
        self._pumping = False
        self._last = 0.0
        self._resend = RESEND_FIRST_S
        self._stuck_since: float | None = None

    @property
    def name(self) -> str:
        return self.loop.process.name

    def greet(self, factory: Any) -> None:
        if not self._closing:
            self.protocol = factory()
            self.protocol.connection_made(self)

    # -- asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return max(0, self._under_way - WINDOW)

    def write(self, data: Any) -> None:
        if self._closing or not self.loop.process.alive:
            return
        assert self.other is not None
        self._network.tap(self.name, self.other.name, bytes(data))
        link = self._network.link(self.name, self.other.name)
        now = now_here(self._network.world)
        self._last = max(self._last, now + self._network.delay(link))
        self._sent.append((self._last, now, bytes(data)))
        self._under_way += len(data)
        self._pump()

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self.broken() and self.other is not None:
            self.other.reset_soon(by=self)

    # -- how it goes

    def broken(self) -> bool:
        """This end is closed; its protocol is told."""
        if self._closing:
            return False
        self._closing = True
        self._sent.clear()
        if self in self._network.pipes:
            self._network.pipes.remove(self)
        if self.protocol is not None and self.loop.process.alive:
            self.loop.call_soon(self.protocol.connection_lost, None)
        return True

    def reset_soon(self, *, by: Pipe) -> None:
        """The other end is closed, which this one hears when the link lets it."""
        link = self._network.link(by.name, self.name)
        if link.cut:
            self._network.world.after(RESEND_FIRST_S * 2, lambda: self.reset_soon(by=by))
        else:
            self._network.world.after(self._network.delay(link), self.broken)

    def _pump(self) -> None:
        if self._sent and not self._pumping:
            self._pumping = True
            self._network.world.at(self._sent[0][0], self._deliver)

    def _deliver(self) -> None:
        self._pumping = False
        if self._closing or not self._sent:
            return
        other = self.other
        assert other is not None
        cut = self._network.link(self.name, other.name).cut or self._network.link(other.name, self.name).cut
        if cut or not self._network.powered[other.name]:
            self._wait_and_resend()
            return
        self._stuck_since, self._resend = None, RESEND_FIRST_S
        if other.gone:
            self.reset_soon(by=other)
            return
        _, sent, data = self._sent.popleft()
        if sent > self.loop.process.died_at:
            return
        if len(data) > 1 and self._network.random.random() < SPLIT:
            middle = self._network.random.randrange(1, len(data))
            self._sent.appendleft((self._network.world.now + LATENCY_S, sent, data[middle:]))
            data = data[:middle]
        other.loop.call_soon(other.receive, data)
        self._pump()

    def _wait_and_resend(self) -> None:
        """Acknowledgements come back on the other direction: a link that is cut one way carries nothing for long."""
        world = self._network.world
        if self._stuck_since is None:
            self._stuck_since = world.now
        if world.now - self._stuck_since > GIVE_UP_S:
            self.broken()
            return
        self._pumping = True
        world.after(self._resend, self._deliver)
        self._resend = min(self._resend * 2, RESEND_MAX_S)

    def receive(self, data: bytes) -> None:
        if self.other is not None:
            self.other._under_way -= len(data)
        if not self._closing and self.protocol is not None:
            self.protocol.data_received(data)
