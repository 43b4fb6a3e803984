"""One client, one set of informers and one set of tasks for each identity: the scheduler's and the controllers'."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftsman import Client, ConfigError, logs
from raftsman.controller import run_controllers
from raftsman.informer import Informers
from raftsman.services.scheduler.scheduler import Scheduler

from .composition import controllers
from .config import Config
from .reach import reachable

log = logs.get(__name__)


class Control:
    """Everything that runs in the control process."""

    def __init__(self, config: Config) -> None:
        """ValueError or OSError, with a sentence, if a file is missing or says nothing useful."""
        try:
            self._scheduling = Client.from_kubeconfig(config.kubeconfig_scheduler)
            self._controlling = Client.from_kubeconfig(config.kubeconfig_controllers)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        self._controllers = controllers(config)
        self._ready = False

    async def check(self) -> None:
        """Raises until every cache has been filled."""
        if not self._ready:
            raise RuntimeError("caches are not filled yet")

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Work until cancelled. `on_ready` is called once, when every cache has been filled."""
        await reachable(self._controlling.config.target)
        scheduler_informers, informers = Informers(self._scheduling), Informers(self._controlling)
        scheduler = Scheduler(self._scheduling, scheduler_informers)
        async with scheduler_informers, informers, asyncio.TaskGroup() as group:
            group.create_task(scheduler.run(), name="scheduler")
            group.create_task(run_controllers(self._controlling, self._controllers, informers=informers))
            await asyncio.sleep(0)
            await scheduler_informers.synced()
            await informers.synced()
            self._ready = True
            log.info("control ready", controllers=len(self._controllers))
            on_ready()

    async def close(self) -> None:
        await self._scheduling.close()
        await self._controlling.close()
