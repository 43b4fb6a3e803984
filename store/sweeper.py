"""Gives back what a compaction made useless, in slices with room for others between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SWEEP_S = 0.002


class Sweeper:
    """`sweep` does a slice and says whether there is more."""

    def __init__(self, sweep: Callable[[], bool]) -> None:
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None
        self._swept = asyncio.Event()
        self._swept.set()

    def soon(self) -> None:
        """There is something to give back."""
        self._swept.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._run)

    async def swept(self) -> None:
        """Return when nothing is left."""
        await self._swept.wait()

    def _run(self) -> None:
        self._timer = None
        if self._sweep():
            self.soon()
        else:
            self._swept.set()
