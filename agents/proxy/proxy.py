"""Keep the node's nftables in line with the cluster's services.

Reads Service and EndpointSlice through informers; writes one nftables table of its own and deletes connection tracking
entries of UDP flows to endpoints that went. Every change is one atomic transaction; changes that arrive while one is
written, or within FLUSH_INTERVAL_S of it, go together into the next. Nothing is written before both informers hold
everything, so a restart never takes a service away for a moment. An idle proxy does nothing but look once in
PRESENCE_INTERVAL_S whether its table is still there.
"""

import asyncio
import ipaddress
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import prometheus_client
from raftsman import Client, logs
from raftsman.agents import nft
from raftsman.agents.observed import Observed, Seen
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.informer import Informers

from . import objects, transaction
from .departures import Departures
from .installed import Installed, table_name
from .ruleset import EMPTY, Node, ServiceRules, service_rules

FLUSH_INTERVAL_S = 0.005
PRESENCE_INTERVAL_S = 60.0
RETRY_MIN_S, RETRY_MAX_S = 1.0, 30.0

log = logs.get(__name__)
_sync_seconds = prometheus_client.Histogram(
    "raftsman_proxy_sync_seconds",
    "Time to compile and apply one transaction.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5),
)
_failures = prometheus_client.Counter("raftsman_proxy_sync_failures", "Transactions that the kernel refused.")
_services = prometheus_client.Gauge("raftsman_proxy_services", "Services with rules in the kernel.")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    node_name: str
    node_addresses: tuple[str, ...]
    """IPv4 addresses on which node ports answer."""
    cluster_cidr: str
    """All pods' addresses: other sources are masqueraded."""
    service_cidr: str
    served_here: frozenset[str] = frozenset()
    """Service addresses that this node answers itself: the cluster DNS address, where `Dns` runs."""
    instance: str = ""
    """Distinguishes the table of this cluster from another's."""

    def table(self) -> transaction.Table:
        return transaction.Table(
            table_name(self.instance),
            ipaddress.IPv4Network(self.service_cidr),
            ipaddress.IPv4Network(self.cluster_cidr),
        )


class Proxy:
    """kube-proxy's role on one node. Runs in the network namespace of the thread that calls `run`."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._node = Node(config.node_addresses, config.served_here)
        self._observed = Observed()
        self._departures = Departures()
        self._wake = asyncio.Event()
        self._synced = asyncio.Event()
        self._warned: set[tuple[str, str]] = set()

    async def run(self, client: Client, *, informers: Informers | None = None) -> None:
        """Serve until cancelled. With `informers` given, their owner runs them. The rules stay when this ends.

        Raises AnotherCluster and nft.NftUnavailable at once.
        """
        if informers is None:
            async with Informers(client) as own:
                await self.run(client, informers=own)
            return
        # One thread of its own: netlink blocks, and libnftables' socket belongs to whoever opened it.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="proxy") as thread:
            loop = asyncio.get_running_loop()
            installed = await loop.run_in_executor(thread, Installed, self._config.table())
            try:
                await loop.run_in_executor(thread, installed.refuse_another_cluster)
                await self._watch(informers)
                await self._serve(installed, thread)
            finally:
                await asyncio.shield(loop.run_in_executor(thread, installed.close))

    async def ready(self) -> None:
        """A readiness check: raises until the first transaction has been applied."""
        if not self._synced.is_set():
            raise RuntimeError("service rules are not written yet")

    async def wait_ready(self) -> None:
        await self._synced.wait()

    async def departed(self, address: str) -> None:
        """Wait until no rule sends new connections to a pod's address and those that were sent had time to be answered.

        At once for an address that none was sent to. Not bounded: it is the caller's to give up.
        """
        await self._departures.departed(address)

    async def _watch(self, informers: Informers) -> None:
        services = informers.get(core.Service)
        slices = informers.get(discovery.EndpointSlice)
        services.add_handler(self._on_service)
        slices.add_handler(self._on_slice)
        await services.synced()
        await slices.synced()

    def _on_service(self, _: object, old: core.Service | None, new: core.Service | None) -> None:
        self._observed.service(old, new)
        self._wake.set()

    def _on_slice(self, _: object, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        self._observed.endpoint_slice(old, new)
        self._departures.changed(old, new)
        self._wake.set()

    async def _serve(self, installed: Installed, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        whole, retry_s = True, RETRY_MIN_S
        while True:
            self._wake.clear()
            self._observed.again(installed.ruleset.shadowed)
            taken, leaving = self._observed.take(), self._departures.leaving()
            try:
                count = await loop.run_in_executor(thread, self._sync, installed, taken, whole)
            except nft.NftError as error:
                _failures.inc()
                log.error("service rules could not be written", error=error.message, retry_s=retry_s)
                self._observed.again(taken)
                whole = True
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_MAX_S)
                continue
            whole, retry_s = False, RETRY_MIN_S
            self._departures.wrote(leaving, now=loop.time())
            _services.set(count)
            if not self._synced.is_set():
                log.info("service rules written", services=count, table=self._config.table().name)
                self._synced.set()
            await asyncio.sleep(FLUSH_INTERVAL_S)
            whole = not await self._changed_or_present(installed, thread)

    async def _changed_or_present(self, installed: Installed, thread: ThreadPoolExecutor) -> bool:
        """Wait for a change; False once the table turns out to be missing."""
        while True:
            try:
                async with asyncio.timeout(PRESENCE_INTERVAL_S):
                    await self._wake.wait()
                return True
            except TimeoutError:
                if not await asyncio.get_running_loop().run_in_executor(thread, installed.is_present):
                    log.warning("the table is gone; writing all rules", table=self._config.table().name)
                    return False

    def _sync(self, installed: Installed, taken: Mapping[str, Seen], whole: bool) -> int:
        """On the proxy's thread: compile what changed and apply it; returns the number of services."""
        began = time.perf_counter()
        changes = {key: self._compiled(key, seen, installed) for key, seen in taken.items()}
        if whole:
            installed.replace(installed.ruleset.updated(changes))
        elif changes:
            installed.update(changes)
        took_s = time.perf_counter() - began
        _sync_seconds.observe(took_s)
        log.debug("service rules synced", changed=len(changes), whole=whole, ms=round(took_s * 1000, 2))
        return len(installed.ruleset.services)

    def _compiled(self, key: str, seen: Seen, installed: Installed) -> ServiceRules | None:
        if seen.service is None:
            self._warned = {warning for warning in self._warned if warning[0] != key}
            return None
        service = objects.read(seen.service, seen.slices, node_name=self._config.node_name)
        for reason in objects.unsupported(seen.service):
            if (key, reason) not in self._warned:
                self._warned.add((key, reason))
                log.warning("part of a service is not programmed", service=key, reason=reason)
        if service is None:
            return None
        return service_rules(service, self._node, previous=installed.ruleset.services.get(key, EMPTY))
