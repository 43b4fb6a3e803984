"""Cluster DNS on the node: one server, on the cluster's DNS address, answering this node's pods from memory.

Reads Service and EndpointSlice through informers, and the node's resolv.conf; writes nothing but its own address. The
service address is put on the node's loopback device, so that no translation is needed and no other node is asked; with
scope `host`, so that nothing else on the node speaks from it. The address stays when the agent stops (a restart is a
matter of a second) and goes with `cleanup`.
"""

import asyncio
import contextlib
import errno
import ipaddress
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftsman import Client, logs
from raftsman.agents.observed import Observed
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.informer import Informers

from . import objects
from .forwarder import Forwarder
from .resolvers import Resolvers
from .server import Responder, TcpServer, UdpServer
from .zone import Zone

_SCOPE_HOST = 254
_LABEL = "lo:rmdns"
"""Tells our address from others, so that `cleanup` needs to be told nothing."""

log = logs.get(__name__)


class AddressInUse(RuntimeError):
    """Something else listens where cluster DNS should."""


@dataclass(frozen=True, slots=True)
class DnsConfig:
    address: str
    """The cluster's DNS service address."""
    service_cidr: str
    cluster_cidr: str
    domain: str = "cluster.local"
    port: int = 53
    resolv_conf: Path = Path("/etc/resolv.conf")
    own_address: bool = True
    """Whether `address` is to be put on the loopback device; if not, it must be there."""


class Dns:
    """Runs in the network namespace of the thread that calls `run`."""

    def __init__(self, config: DnsConfig) -> None:
        self._config = config
        networks = (ipaddress.ip_network(config.service_cidr), ipaddress.ip_network(config.cluster_cidr))
        self.zone = Zone(config.domain, address=config.address, networks=networks)
        self._observed = Observed()
        self._scheduled = False
        self._ready = asyncio.Event()

    async def run(self, client: Client, *, informers: Informers | None = None) -> None:
        """Serve until cancelled. With `informers` given, their owner runs them. Raises AddressInUse at once."""
        if informers is None:
            async with Informers(client) as own:
                await self.run(client, informers=own)
            return
        async with self.serving():
            await self._watch(informers)
            self._apply()
            self._ready.set()
            log.info("cluster DNS serves", address=self._config.address, domain=self._config.domain)
            await asyncio.Event().wait()

    async def ready(self) -> None:
        """A readiness check: raises until all services are known."""
        if not self._ready.is_set():
            raise RuntimeError("cluster DNS does not know all services yet")

    async def wait_ready(self) -> None:
        await self._ready.wait()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen meanwhile. Outside names are answered from the start, the cluster's once `ready`."""
        config = self._config
        if config.own_address:
            await asyncio.to_thread(_add_address, config.address)
        resolvers = Resolvers(config.resolv_conf, own=frozenset({config.address}))
        forwarder = Forwarder(resolvers)
        responder = Responder(self.zone, forwarder, is_ready=self._ready.is_set)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(forwarder.close)
            try:
                await self._listen(responder, stack)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                where = f"{config.address}:{config.port}"
                raise AddressInUse(f"cluster DNS cannot listen on {where}: another process does") from error
            yield

    async def _listen(self, responder: Responder, stack: contextlib.AsyncExitStack) -> None:
        where = (self._config.address, self._config.port)
        tcp = await asyncio.start_server(TcpServer(responder).handle, *where)
        stack.callback(tcp.close)
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: UdpServer(responder), local_addr=where)
        stack.callback(udp.close)

    async def _watch(self, informers: Informers) -> None:
        services = informers.get(core.Service)
        slices = informers.get(discovery.EndpointSlice)
        services.add_handler(self._on_service)
        slices.add_handler(self._on_slice)
        await services.synced()
        await slices.synced()

    def _on_service(self, _: object, old: core.Service | None, new: core.Service | None) -> None:
        self._observed.service(old, new)
        self._schedule()

    def _on_slice(self, _: object, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        self._observed.endpoint_slice(old, new)
        self._schedule()

    def _schedule(self) -> None:
        """Apply once for all changes that arrive together."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._apply)

    def _apply(self) -> None:
        self._scheduled = False
        for key, seen in self._observed.take().items():
            namespace, _, name = key.partition("/")
            if seen.service is None:
                self.zone.remove(namespace, name)
            else:
                self.zone.put(objects.read(seen.service, seen.slices))


def cleanup() -> None:
    """Take the address off the loopback device, whatever it was; not there is fine."""
    with _loopback() as (routes, index):
        for entry in routes.get_addr(index=index, label=_LABEL):
            routes.addr("del", index=index, address=entry.get_attr("IFA_ADDRESS"), prefixlen=entry["prefixlen"])


def _add_address(address: str) -> None:
    from pyroute2.netlink import exceptions

    with _loopback() as (routes, index):
        try:
            routes.addr("add", index=index, address=address, prefixlen=32, scope=_SCOPE_HOST, label=_LABEL)
        except exceptions.NetlinkError as error:
            if error.code != errno.EEXIST:
                raise


@contextlib.contextmanager
def _loopback() -> Iterator[tuple[Any, int]]:
    # Imported late: more than 100 ms that the agent's start need not wait for.
    import pyroute2

    with pyroute2.IPRoute() as routes:
        yield routes, routes.link_lookup(ifname="lo")[0]
