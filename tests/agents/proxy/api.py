"""Informers without an API server: a test says what was added, changed and deleted."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from raftsman import Client
from raftsman.client import EventType
from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery
from raftsman.informer import Informers

CLIENT = cast(Client, None)


class ScriptedInformer:
    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.handlers: list[Callable[[EventType, Any, Any], None]] = []
        self.is_synced = asyncio.Event()

    def add_handler(self, handler: Callable[[EventType, Any, Any], None]) -> None:
        self.handlers.append(handler)
        for made in self.objects.values():
            handler(EventType.ADDED, None, made)

    async def synced(self) -> None:
        await self.is_synced.wait()

    def put(self, made: Any) -> None:
        old = self.objects.get(made.metadata.name)
        self.objects[made.metadata.name] = made
        for handler in self.handlers:
            handler(EventType.MODIFIED if old else EventType.ADDED, old, made)

    def delete(self, name: str) -> None:
        old = self.objects.pop(name)
        for handler in self.handlers:
            handler(EventType.DELETED, old, None)


class Script:
    """Stands in for `Informers`; pass `informers` on and drive `services` and `slices`."""

    def __init__(self) -> None:
        self.services, self.slices = ScriptedInformer(), ScriptedInformer()

    @property
    def informers(self) -> Informers:
        return cast(Informers, self)

    def get(self, message: type[Any]) -> ScriptedInformer:
        return {core.Service: self.services, discovery.EndpointSlice: self.slices}[message]

    def sync(self) -> None:
        self.services.is_synced.set()
        self.slices.is_synced.set()


def service(name: str, cluster_ip: str, *, node_port: int = 0, port: int = 80) -> core.Service:
    made = core.Service()
    made.metadata.namespace, made.metadata.name = "default", name
    made.spec.cluster_ip = cluster_ip
    made.spec.cluster_ips.append(cluster_ip)
    made.spec.ports.add(name="main", port=port, node_port=node_port)
    return made


def endpoint_slice(name: str, *addresses: str, node_name: str = "here", port: int = 8080) -> discovery.EndpointSlice:
    made = discovery.EndpointSlice(address_type="IPv4")
    made.metadata.namespace, made.metadata.name = "default", f"{name}-abc"
    made.metadata.labels["kubernetes.io/service-name"] = name
    made.ports.add(name="main", protocol="TCP", port=port)
    for address in addresses:
        made.endpoints.add(addresses=[address], node_name=node_name)
    return made
