"""Registers the group versions of custom resources as this server's own, and forgets them when they go.

Looks whenever custom resources change, and RETRY_S after it could not write.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from raftsman import errors, logs
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.access.identity import SERVER
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rest.catalog import GroupVersion
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.verbs import delete, write

from . import registrations
from .registrations import QUALIFIED, Registrations

RETRY_S = 5.0

log = logs.get(__name__)


class AutoRegistration:
    """One for a server; `run` it. `served` says what custom resources are served in."""

    def __init__(self, api: Api, served: Callable[[], Sequence[GroupVersion]]) -> None:
        self._api, self._served = api, served
        self._registrations = Registrations(api.feed.caches)
        self._changed = asyncio.Event()
        self._changed.set()
        api.registry.listeners.append(self._changed.set)

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._settle()
            except errors.ApiError as error:
                log.info("custom resources could not be registered", error=error)
                self._changed.set()
                await asyncio.sleep(RETRY_S)

    async def _settle(self) -> None:
        wanted = {f"{one.version}.{one.group}": one for one in self._served()}
        for name, one in wanted.items():
            if self._registrations.cache.get("", name) is None:
                await self._create(one)
        for service in list(self._registrations.automanaged()):
            if service.metadata.name not in wanted:
                await self._delete(service.metadata.name)

    @property
    def _call(self) -> Call:
        return Call(SERVER, self._api.kinds[QUALIFIED], [], agent="kube-apiserver")

    async def _create(self, one: GroupVersion) -> None:
        made = registrations.local(
            one.group, one.version, group_priority=one.group_priority, version_priority=one.version_priority,
            managed=registrations.ALWAYS,
        )  # fmt: skip
        with contextlib.suppress(errors.AlreadyExists):
            await write.create_object(self._api, self._call, made)

    async def _delete(self, name: str) -> None:
        request = meta.DeleteRequest(name=name)
        with contextlib.suppress(errors.NotFound):
            await delete.delete(self._api, self._call, request.SerializeToString())
