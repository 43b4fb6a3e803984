"""Publish the pods behind every service that has a selector, as one Endpoints object of the service's name.

Reads Service and Pod; writes Endpoints. What is decided and why stands in `endpoints_plan`. An object that was not made
here is taken over when a service of its name has a selector, and never deleted.
"""

from __future__ import annotations

import contextlib
import time

from raftsman import errors
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core

from . import service_pods
from .endpoints_plan import Observed, decide
from .own_writes import FORGET_S, OwnWrites


class EndpointsController(Controller):
    name = "endpoints"
    component = "endpoint-controller"
    workers = 4

    def __init__(self) -> None:
        self.watches = (
            *service_pods.watches(self._services),
            Watch(core.Endpoints),
        )  # fmt: skip
        self._own = OwnWrites()

    def _services(self, pod: core.Pod) -> list[Key]:
        return service_pods.services_of(pod, self.cache(core.Service))

    async def reconcile(self, key: Key) -> Result | None:
        cache = self.cache(core.Endpoints)
        if not self._own.settled(key, cache, now_s=time.monotonic()):
            return Result(FORGET_S)
        service = self.cache(core.Service).get(key)
        pods = service_pods.pods_of(service, self.cache(core.Pod)) if service is not None else ()
        found = cache.get(key)
        plan = decide(Observed(service, pods, found))
        if plan.create is not None:
            self._own.stored(key, await self.client.create(plan.create), now_s=time.monotonic())
        if plan.update is not None:
            self._own.stored(key, await self.client.update(plan.update), now_s=time.monotonic())
        if plan.delete and found is not None:
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(core.Endpoints, key.name, namespace=key.namespace, uid=found.metadata.uid)
        return None
