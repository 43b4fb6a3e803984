"""What the proxy knows of a service: its ports, where they are reached, and the endpoints behind each.

Plain values, filled in by `objects` from API messages, so that the compiler of rules can be read and tested
without a cluster. Only IPv4 addresses get this far.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Protocol(enum.StrEnum):
    """Transport protocols that have ports; the value is nftables' name."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class Frontend(NamedTuple):
    """An address, protocol and port on which a service answers."""

    address: str
    protocol: Protocol
    port: int


class Backend(NamedTuple):
    """An address and port to which connections are sent."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    backend: Backend
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    local: bool = False
    """Whether it runs on the proxy's own node."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    protocol: Protocol
    port: int
    node_port: int = 0
    """0: none."""

    @property
    def key(self) -> tuple[str, Protocol]:
        return self.name, self.protocol


@dataclass(frozen=True, slots=True)
class Service:
    key: str
    """NAMESPACE/NAME."""
    ports: tuple[ServicePort, ...]
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    """Addresses outside the cluster's ranges: spec.externalIPs and load balancer ingress addresses."""
    internal_local: bool = False
    """internalTrafficPolicy: Local."""
    external_local: bool = False
    """externalTrafficPolicy: Local."""
    affinity_timeout_s: int = 0
    """sessionAffinity ClientIP's timeout; 0: no affinity."""
    endpoints: Mapping[tuple[str, Protocol], tuple[Endpoint, ...]] = field(default_factory=dict)
    """By port name and protocol."""


def usable(endpoints: tuple[Endpoint, ...], *, local_only: bool = False) -> tuple[Backend, ...]:
    """The backends that take new connections: the ready ones, or, when there is none, those that still serve
    while they terminate (KEP-1669). Sorted, without duplicates.
    """
    candidates = [endpoint for endpoint in endpoints if endpoint.local or not local_only]
    chosen = {endpoint.backend for endpoint in candidates if endpoint.ready}
    if not chosen:
        chosen = {endpoint.backend for endpoint in candidates if endpoint.serving and endpoint.terminating}
    return tuple(sorted(chosen))
