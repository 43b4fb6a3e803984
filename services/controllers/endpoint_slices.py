"""Publish the pods behind every service that has a selector, as endpoint slices.

Reads Service and Pod; writes EndpointSlice, at most ENDPOINTS_MAX endpoints each. What is decided and why stands in
`endpoint_slices_plan`. Slices of a service that is gone are collected by their owner reference. Slices that somebody
else manages are not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from raftsman import errors
from raftsman.controller import Controller, Key, Result, Watch
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

from . import service_pods
from .endpoint_slices_plan import MANAGED_LABEL, MANAGER, SERVICE_LABEL, Observed, Plan, decide
from .own_writes import FORGET_S, OwnWrites

SLICES_BY_SERVICE = "service"


def service_key(found: discovery.EndpointSlice) -> Key | None:
    """The service of a slice that is managed here."""
    labels = found.metadata.labels
    if labels.get(MANAGED_LABEL) != MANAGER or not labels.get(SERVICE_LABEL):
        return None
    return Key(found.metadata.namespace, labels[SERVICE_LABEL])


def slice_index(found: discovery.EndpointSlice) -> str | None:
    key = service_key(found)
    return str(key) if key is not None else None


class EndpointSliceController(Controller):
    name = "endpoint-slices"
    component = "endpoint-slice-controller"
    workers = 4

    def __init__(self) -> None:
        self.watches = (
            *service_pods.watches(self._services),
            Watch(discovery.EndpointSlice, key=service_key, indexers={SLICES_BY_SERVICE: slice_index}),
        )  # fmt: skip
        self._own = OwnWrites()

    def _services(self, pod: core.Pod) -> list[Key]:
        return service_pods.services_of(pod, self.cache(core.Service))

    async def reconcile(self, key: Key) -> Result | None:
        service = self.cache(core.Service).get(key)
        if service is None:
            self._own.forget(key)
            return None
        slices = self.cache(discovery.EndpointSlice)
        if not self._own.settled(key, slices, now_s=time.monotonic()):
            return Result(FORGET_S)
        mine = tuple(s for s in slices.by_index(SLICES_BY_SERVICE, str(key)) if _owned(s, service))
        plan = decide(Observed(service, service_pods.pods_of(service, self.cache(core.Pod)), mine))
        await self._carry_out(key, plan)
        return None

    async def _carry_out(self, key: Key, plan: Plan) -> None:
        writes = [self.client.create(s) for s in plan.create] + [self.client.update(s) for s in plan.update]
        failures = []
        for answer in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(answer, BaseException):
                failures.append(answer)
            else:
                self._own.stored(key, answer, now_s=time.monotonic())
        if failures:
            raise failures[0]
        for found in plan.delete:
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(
                    discovery.EndpointSlice, found.metadata.name, namespace=found.metadata.namespace,
                    uid=found.metadata.uid,
                )  # fmt: skip


def _owned(found: discovery.EndpointSlice, service: core.Service) -> bool:
    """Not one of an earlier service of the same name, which goes away by itself."""
    owners = {reference.uid for reference in found.metadata.owner_references}
    return not owners or service.metadata.uid in owners
