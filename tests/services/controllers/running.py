"""Run a controller against the fake API for the length of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from raftsman.controller import Controller, run_controllers


@contextlib.asynccontextmanager
async def running(api: Any, *controllers: Controller) -> AsyncIterator[None]:
    async with api.client() as client:
        task = asyncio.create_task(run_controllers(client, controllers))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Return when `condition` holds; fail loudly if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def quiet(api: Any, *, for_s: float = 0.3) -> None:
    """Fail if anything is written in the meantime."""
    await asyncio.sleep(for_s)
    before = len(api.written())
    await asyncio.sleep(for_s)
    assert api.written()[before:] == []
