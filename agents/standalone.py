"""Run one of the agent's parts as a process of its own: health, readiness, SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Protocol

from raftsman import Client, health


class Part(Protocol):
    """What the proxy and DNS have in common."""

    async def run(self, client: Client) -> None: ...

    async def ready(self) -> None:
        """Raises while the part does not serve."""

    async def wait_ready(self) -> None: ...


async def run(part: Part, *, name: str, kubeconfig: str | None, metrics_address: str) -> None:
    """Until SIGTERM, or until the part fails."""
    async with Client.from_kubeconfig(kubeconfig) as client:
        server = await health.serve(metrics_address, {name: part.ready})
        running = asyncio.create_task(part.run(client))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        started = asyncio.create_task(_notify(part))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await running
        finally:
            started.cancel()
            server.close()


async def _notify(part: Part) -> None:
    await part.wait_ready()
    health.notify_ready()
