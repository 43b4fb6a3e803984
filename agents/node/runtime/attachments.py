"""Users at a container's own streams.

conmon closes a container's input as soon as anybody who was attached to it goes (unless it has a terminal). That is
what `stdinOnce` asks for. A container without it must keep its input: the first user opens one connection that stays
until the container ends, and whoever comes later shares it; its output is read on and thrown away when nobody is there.
An agent that ends takes the connection with it, and so the container's input.

A user who does not read holds the container's output up once QUEUED_MAX pieces wait, as everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from . import console, errors
from .console import Console
from .layout import Layout
from .specs import Container, Phase

QUEUED_MAX = 16
Piece = tuple[int, bytes]


class Attached(Protocol):
    """What a user has: as exec.Stream."""

    async def read(self) -> Piece | None: ...
    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...
    async def wait(self) -> int: ...
    async def aclose(self) -> None: ...


class Attachments:
    """By container."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._shared: dict[str, _Shared] = {}
        self._opening = asyncio.Lock()

    async def open(self, container: Container, *, stdin_stays: bool) -> Attached:
        """`stdin_stays`: the container's input outlives this user. errors.ExecFault."""
        if container.phase is not Phase.RUNNING:
            raise errors.ExecFault(f"container {container.name} is not running")
        folder = self._layout.graph_root / "overlay-containers" / container.id / "userdata"
        if not stdin_stays or container.tty:
            return await console.connect(folder)
        async with self._opening:
            shared = self._shared.get(container.id)
            if shared is None:
                stream = await console.connect(folder)
                shared = self._shared[container.id] = _Shared(stream, lambda: self._shared.pop(container.id, None))
            return shared.join()

    def close(self) -> None:
        for shared in list(self._shared.values()):
            shared.close()


class _Shared:
    """One connection and its users."""

    def __init__(self, stream: Console, over: Callable[[], object]) -> None:
        self.stream = stream
        self._over = over
        self.users: set[_User] = set()
        self._reading = asyncio.create_task(self._read(), name="attached")

    def join(self) -> _User:
        user = _User(self)
        self.users.add(user)
        return user

    def close(self) -> None:
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            while (piece := await self.stream.read()) is not None:
                for user in list(self.users):
                    await user.put(piece)
        finally:
            self._over()
            for user in list(self.users):
                user.end()
            await self.stream.aclose()


class _User:
    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue(QUEUED_MAX)
        self._ended = asyncio.Event()
        self._left = False

    async def put(self, piece: Piece) -> None:
        if not self._left:
            await self._pieces.put(piece)

    def end(self) -> None:
        """The container's streams have ended; what waits is still read."""
        self._ended.set()

    async def read(self) -> Piece | None:
        if self._pieces.empty() and not self._ended.is_set():
            coming, ending = asyncio.ensure_future(self._pieces.get()), asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    return coming.result()
            finally:
                coming.cancel()
                ending.cancel()
        return None if self._pieces.empty() else self._pieces.get_nowait()

    async def write(self, data: bytes) -> None:
        await self._shared.stream.write(data)

    async def close_stdin(self) -> None:
        """The user's input ends; the container's does not."""

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        return 0

    async def aclose(self) -> None:
        self._left = True
        self._shared.users.discard(self)
        while not self._pieces.empty():
            self._pieces.get_nowait()
