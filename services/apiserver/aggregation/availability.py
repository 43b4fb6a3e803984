"""Finds out which aggregated servers answer, writes it into their APIServices, and keeps what they say they serve.

Looks when an APIService, its service or its endpoints change, and every CHECK_EVERY_S; CHECKS_MAX at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from raftsman import errors, logs, times
from raftsman.apiregistration import v1 as apiregistration
from raftsman.services.apiserver import metrics
from raftsman.services.apiserver.access.identity import SERVER
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.outbound import backends
from raftsman.services.apiserver.rest.catalog import Catalog, GroupVersion
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.verbs import write
from raftsman.services.apiserver.watchcache import watcher
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import listing, registrations
from .registrations import AVAILABLE, QUALIFIED, Registrations

CHECK_EVERY_S = 30.0
CHECKS_MAX = 8
_SERVICE_NAME = "kubernetes.io/service-name"

log = logs.get(__name__)


class Availability:
    """One for a server; `run` it."""

    def __init__(self, api: Api, catalog: Catalog) -> None:
        self._api, self._catalog = api, catalog
        self._registrations = Registrations(api.feed.caches)
        self._backends = backends.Backends(api.feed.caches)
        self._listings: dict[str, listing.Listing] = {}
        self._changed = asyncio.Event()
        self._services: set[tuple[str, str]] = set()
        caches = api.feed.caches
        caches[QUALIFIED].listeners.append(self._registered)
        caches["services"].listeners.append(self._service_changed)
        caches["endpointslices.discovery.k8s.io"].listeners.append(self._slice_changed)
        catalog.add(self.group_versions)

    def remote(self, service: apiregistration.APIService) -> listing.Remote:
        """Where its server is. errors.Unavailable if nowhere."""
        reference, config = service.spec.service, self._api.config
        try:
            found = self._backends.addresses(reference.namespace, reference.name, reference.port or 443)
        except backends.Missing as missing:
            raise errors.Unavailable(missing.message) from None
        identity = backends.Identity(
            bytes(service.spec.ca_bundle), service.spec.insecure_skip_tls_verify, config.proxy_client_cert_file,
            config.proxy_client_key_file,
        )  # fmt: skip
        return listing.Remote(service, found, identity)

    def group_versions(self) -> Sequence[GroupVersion]:
        """What the others serve, for the catalog; of one that does not answer, what it last said."""
        return [
            self._listings.get(service.metadata.name, listing.Listing()).group_version(
                service, stale=not registrations.is_available(service)
            )
            for service in self._registrations.remotes()
        ]

    # -- what changes

    def _registered(self, change: watcher.Change) -> None:
        self._catalog.forget()
        if change.new is None and change.old is not None:
            self._listings.pop(change.old.name, None)
            with contextlib.suppress(KeyError):
                metrics.UNAVAILABLE.remove(change.old.name)
        self._changed.set()

    def _service_changed(self, change: watcher.Change) -> None:
        found = change.new or change.old
        if found is not None and (found.namespace, found.name) in self._services:
            self._changed.set()

    def _slice_changed(self, change: watcher.Change) -> None:
        found = change.new or change.old
        if found is not None and self._services:
            name = found.parsed().metadata.labels.get(_SERVICE_NAME, "")
            if (found.namespace, name) in self._services:
                self._changed.set()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            await self._check_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._changed.wait()

    async def _check_all(self) -> None:
        found = list(self._registrations.all())
        remote = (one.spec.service for one in found if one.spec.HasField("service"))
        self._services = {(one.namespace, one.name) for one in remote}
        room = asyncio.Semaphore(CHECKS_MAX)

        async def check(service: apiregistration.APIService) -> None:
            async with room:
                await self._check(service)

        await asyncio.gather(*(check(service) for service in found))

    async def _check(self, service: apiregistration.APIService) -> None:
        status, reason, message = await self._looked(service)
        metrics.UNAVAILABLE.labels(service.metadata.name).set(int(status != "True"))
        try:
            await self._write(service, status, reason, message)
        except errors.ApiError as error:
            log.info("the status of an APIService was not written", name=service.metadata.name, error=error)

    async def _looked(self, service: apiregistration.APIService) -> tuple[str, str, str]:
        """(status, reason, message) of its condition."""
        spec, name = service.spec, service.metadata.name
        if not spec.HasField("service"):
            return registrations.LOCAL
        reference = spec.service
        try:
            self._backends.addresses(reference.namespace, reference.name, reference.port or 443)
        except backends.Missing as missing:
            return "False", missing.reason, missing.message
        path = f"/apis/{spec.group}/{spec.version}"
        try:
            remote = self.remote(service)
            code, _ = await remote.read(path)
            if not 200 <= code < 300:
                return "False", "FailedDiscoveryCheck", f"bad status from https://{remote.name}{path}: {code}"
            found = await listing.of(remote)
        except errors.ApiError as error:
            return "False", "FailedDiscoveryCheck", f"failing or missing response: {error.message}"
        if self._listings.get(name) != found:
            self._listings[name] = found
            self._catalog.forget()
        return "True", "Passed", "all checks passed"

    async def _write(self, service: apiregistration.APIService, status: str, reason: str, message: str) -> None:
        now = [(one.status, one.reason, one.message) for one in service.status.conditions if one.type == AVAILABLE]
        if now == [(status, reason, message)]:
            return
        kind = self._api.kinds[QUALIFIED]
        call = Call(SERVER, kind, [], agent="kube-apiserver")

        async def change(found: CachedObject) -> Change:
            new = apiregistration.APIService()
            new.CopyFrom(found.parsed())
            _set(new, status, reason, message)
            return await write.prepared_update(self._api, call, new, found.parsed(), subresource="status", admit=False)

        with contextlib.suppress(errors.NotFound):
            await self._api.objects.update(kind, service.metadata.name, change, namespace="")


def _set(service: apiregistration.APIService, status: str, reason: str, message: str) -> None:
    found = next((one for one in service.status.conditions if one.type == AVAILABLE), None)
    if found is None:
        found = service.status.conditions.add(type=AVAILABLE)
    if found.status != status:
        found.last_transition_time.CopyFrom(times.now())
    found.status, found.reason, found.message = status, reason, message
