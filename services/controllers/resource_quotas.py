"""Recount what a namespace uses of its quotas.

Reads ResourceQuota, and the objects that its bounds are about; writes ResourceQuota.status. The API server charges a
quota in the transaction that stores an object; here the amounts of a new quota are counted, and lowered again when
objects go or end. The objects are listed after the quota was read and the status is written only over that very quota:
what is stored meanwhile changes the quota and makes the count start again, so that nothing is ever counted too low.

A quota is counted SETTLE_S after the first of the changes that concern it, and every RESYNC_S.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raftsman import Client, EventType, errors, podresources, quotas, resources
from raftsman.controller import Controller, Result, Watch
from raftsman.core import v1 as core
from raftsman.informer import Informers
from raftsman.metadata import Key, key_of
from raftsman.resources import Resource

SETTLE_S = 0.2
RESYNC_S = 300.0


@dataclass(frozen=True, slots=True)
class Observed:
    quota: core.ResourceQuota
    objects: Mapping[str, Iterable[Any]]
    """By qualified resource: all of the namespace, of every resource that the quota is about."""


def decide(observed: Observed, *, now: float) -> core.ResourceQuotaStatus | None:
    """The status as it should be; None if it is so already."""
    quota = observed.quota
    wanted = core.ResourceQuotaStatus()
    for name in quota.spec.hard:
        wanted.hard[name].CopyFrom(quota.spec.hard[name])
    for name, amount in quotas.total(quota, observed.objects, now=now).items():
        wanted.used[name].string = str(amount)
    same = _amounts(wanted) == _amounts(quota.status)
    return None if same else wanted


def _amounts(status: core.ResourceQuotaStatus) -> tuple[podresources.Amounts, podresources.Amounts]:
    return podresources.amounts(status.hard), podresources.amounts(status.used)


class ResourceQuotaController(Controller):
    name = "resourcequota"
    workers = 2
    watches = (Watch(core.ResourceQuota, changed=lambda old, new: old.spec != new.spec),)

    def attach(self, client: Client, informers: Informers) -> None:
        super().attach(client, informers)
        self._followed_kinds: set[str] = set()
        # Their use changes also while they are there.
        for message, frees in ((core.Pod, _ends), (core.Service, _differs), (core.PersistentVolumeClaim, _differs)):
            self._followed_kinds.add(resources.by_message(message).qualified)
            informers.get(message).add_handler(functools.partial(self._saw, frees))

    def _saw(self, frees: Callable[[Any, Any], bool], kind: EventType, old: Any, new: Any) -> None:
        """Something went, or uses less than before."""
        if old is not None and (new is None or frees(old, new)):
            for quota in self.cache(core.ResourceQuota).list(old.metadata.namespace):
                self.queue.add_after(key_of(quota), SETTLE_S)

    async def reconcile(self, key: Key) -> Result:
        try:
            quota = await self.client.get(core.ResourceQuota, key.name, namespace=key.namespace)
        except errors.NotFound:
            return Result()
        objects = {}
        for resource in _counted(quota):
            self._follow(resource)
            found = await self.client.list(resource.message, namespace=key.namespace)
            objects[resource.qualified] = found.items
        status = decide(Observed(quota, objects), now=time.time())
        if status is not None:
            quota.status.CopyFrom(status)
            await self.client.update_status(quota)
        return Result(RESYNC_S)

    def _follow(self, resource: Resource) -> None:
        """Hear of it when an object of a kind that is counted goes."""
        if resource.qualified not in self._followed_kinds:
            self._followed_kinds.add(resource.qualified)
            self.informers.metadata(resource.message).add_handler(functools.partial(self._saw, _never))


def _counted(quota: core.ResourceQuota) -> list[Resource]:
    """The served kinds that its bounds are about."""
    wanted = quotas.counted_by(quota.spec.hard)
    return [one for one in resources.served() if one.qualified in wanted and one.namespaced]


def _ends(old: core.Pod, new: core.Pod) -> bool:
    now = time.time()
    return quotas.counts(old, now=now) and not quotas.counts(new, now=now)


def _differs(old: Any, new: Any) -> bool:
    return bool(old.spec != new.spec)


def _never(old: Any, new: Any) -> bool:
    return False
