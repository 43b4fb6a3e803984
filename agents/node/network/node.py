"""The pod network of this node: its CIDR, who has which address, the routes and the masquerading.

Reads and writes the network namespace that the agent runs in and two files under <data>/network. A second instance
in the same network namespace is refused by name; so is a CIDR that an existing route overlaps.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from . import addresses, links, masquerade


class Refused(Exception):
    """The network cannot be set up as asked; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Cidrs:
    """`pod` is this node's share of `cluster`."""

    pod: str
    cluster: str
    service: str


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast or unreachable route of the main table; `interface` is empty for the latter."""

    destination: str
    interface: str


class PodNetwork:
    """Blocking; call from a thread. Unconfigured until `configure`."""

    def __init__(self, *, record: Path, book: Path, table: str) -> None:
        self._record, self._book, self._table = record, book, table
        self._cidrs: Cidrs | None = None
        self._addresses: addresses.Addresses | None = None

    @property
    def cidrs(self) -> Cidrs | None:
        return self._cidrs

    @property
    def addresses(self) -> addresses.Addresses | None:
        return self._addresses

    def configure(self, cidrs: Cidrs) -> None:
        """Idempotent; Refused when this node cannot have these CIDRs."""
        if cidrs == self._cidrs:
            return
        self._refuse_neighbours()
        if self._last() != cidrs:
            self._forget()
            conflict = overlap((Route(*found) for found in links.routes()), (cidrs.pod, cidrs.service))
            if conflict is not None:
                raise Refused(conflict)
        book = addresses.Addresses(self._book, cidrs.pod)
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps(asdict(cidrs)))
        links.prepare_node(cidrs.pod, book.gateway, cidrs.service)
        masquerade.apply(masquerade.ruleset(self._table, cidrs.pod, cidrs.cluster))
        self._cidrs, self._addresses = cidrs, book

    def clear(self) -> None:
        """Take routes, address and table away, also those of an agent that was killed. Idempotent."""
        self._forget()
        masquerade.apply(masquerade.removal(self._table))
        self._cidrs = self._addresses = None

    def _forget(self) -> None:
        last = self._last()
        if last is not None:
            gateway = str(ipaddress.IPv4Network(last.pod)[1])
            links.clear_node(last.pod, gateway, last.service)
            self._record.unlink(missing_ok=True)

    def _last(self) -> Cidrs | None:
        try:
            return Cidrs(**json.loads(self._record.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _refuse_neighbours(self) -> None:
        tables = masquerade.listing()
        others = [name for name in re.findall(r"raftsman_pods_[0-9a-f]+", tables) if name != self._table]
        if others:
            instance = others[0].removeprefix("raftsman_pods_")
            raise Refused(f"another Raftsman instance ({instance}) already runs its pod network here; stop it first")


def overlap(existing: Iterable[Route], wanted: Iterable[str]) -> str | None:
    """A sentence about the first existing route that a wanted CIDR would fight with, or None."""
    ours = [ipaddress.IPv4Network(cidr) for cidr in wanted]
    for route in existing:
        network = ipaddress.IPv4Network(route.destination)
        for cidr in ours:
            if network.prefixlen and network.overlaps(cidr) and not route.interface.startswith("rm"):
                where = f"interface {route.interface}" if route.interface else "an unreachable route"
                return f"CIDR {cidr} is in use: {network} is routed to {where}; choose another CIDR"
    return None
