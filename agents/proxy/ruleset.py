"""Decide which nftables elements a service needs. Pure: services in, values out.

The layout, compact so that ten thousand services stay cheap: one verdict map sends (address, protocol, port) to
`goto all-3`, one chain per distinct number of endpoints, which writes `numgen random mod 3` into the packet's mark and
looks (address, protocol, port, mark) up in one map of endpoints. For example, a service of two endpoints and client-IP
affinity of none:

    services   10.96.0.7 . tcp . 80              : goto all-2
    endpoints  10.96.0.7 . tcp . 80 . 0x52020000 : 10.244.0.3 . 8080
               10.96.0.7 . tcp . 80 . 0x52020001 : 10.244.0.9 . 8080

Marks are 0x52 in the top byte, the flags of `Mark`, and a place from 0 to 65535. They live only between the hook that
chooses and the one that leaves the machine, where they are cleared.

With client-IP affinity a place is first turned into a number that belongs to the endpoint (map `sticky`), which is
what the kernel remembers for the client: other endpoints may come and go without moving anybody. A number that is
still good maps to itself.
"""

import enum
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .service import Backend, Frontend, Protocol, Service, ServicePort, usable

ENDPOINTS_MAX = 1 << 16
"""Endpoints of one service port; more are left out."""


class Mark(enum.IntFlag):
    """Bits of a packet's mark between choosing an endpoint and leaving the machine."""

    OURS = 0x52000000
    LOCAL = 0x00010000
    """Chosen among this node's endpoints."""
    MASQUERADE = 0x00020000
    """A client from outside the pod network must see the answer come back through this node."""
    STICKY = 0x00040000
    """The low 16 bits name an endpoint, not a place in the list."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Choose among `count` endpoints at random, by place; remember the choice for `affinity_timeout_s` (0: no)."""

    count: int
    mark: Mark
    affinity_timeout_s: int = 0

    @property
    def chain(self) -> str:
        pool = "local" if self.mark & Mark.LOCAL else "all"
        keep = "" if self.mark & Mark.MASQUERADE else "-keep"
        sticky = f"-sticky-{self.affinity_timeout_s}" if self.affinity_timeout_s else ""
        return f"{pool}-{self.count}{keep}{sticky}"


class Refusal(enum.StrEnum):
    """A frontend that sends nobody anywhere; the value is the verdict or the chain."""

    REJECT = "refuse"
    DROP = "drop"

    @property
    def chain(self) -> str:
        return self.value


Outcome = Balance | Refusal


@dataclass(frozen=True, slots=True)
class Split:
    """Pods and this node take one way, everybody else the other (externalTrafficPolicy: Local)."""

    inside: Outcome
    outside: Outcome

    @property
    def chain(self) -> str:
        return f"split-{self.inside.chain}-or-{self.outside.chain}"


Verdict = Outcome | Split
Place = tuple[Frontend, int]


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """The elements of one service. `order` is the place of each backend, kept so that a change moves few of them."""

    verdicts: Mapping[Frontend, Verdict] = field(default_factory=dict)
    endpoints: Mapping[Place, Backend] = field(default_factory=dict)
    sticky: Mapping[Place, int] = field(default_factory=dict)
    hairpin: frozenset[str] = frozenset()
    order: Mapping[tuple[str, Protocol, bool], tuple[Backend, ...]] = field(default_factory=dict)

    def without(self, frontends: Collection[Frontend]) -> "ServiceRules":
        return replace(
            self,
            verdicts={f: v for f, v in self.verdicts.items() if f not in frontends},
            endpoints={p: b for p, b in self.endpoints.items() if p[0] not in frontends},
            sticky={p: m for p, m in self.sticky.items() if p[0] not in frontends},
        )


EMPTY = ServiceRules()


@dataclass(frozen=True, slots=True)
class Node:
    """This machine as the proxy sees it."""

    addresses: tuple[str, ...]
    """Where node ports answer."""
    served_here: frozenset[str] = frozenset()
    """Service addresses that a process of this node answers itself (cluster DNS): left alone."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of all services. An address that two services claim belongs to the one that had it first."""

    services: Mapping[str, ServiceRules] = field(default_factory=dict)
    owners: Mapping[Frontend, str] = field(default_factory=dict)
    hairpin: Mapping[str, int] = field(default_factory=dict)
    """How many services hold each of this node's endpoint addresses."""
    shadowed: frozenset[str] = frozenset()
    """Services that wait for a frontend that another one owns; compile them again with every change."""

    def updated(self, changes: Mapping[str, ServiceRules | None]) -> "Ruleset":
        """This ruleset with some services' rules replaced or (None) removed."""
        services, owners, hairpin = dict(self.services), dict(self.owners), Counter(self.hairpin)
        for key in changes:
            before = services.pop(key, EMPTY)
            hairpin.subtract(before.hairpin)
            for frontend in before.verdicts:
                del owners[frontend]
        shadowed = set(self.shadowed) - changes.keys()
        # Owners first: a service that waits for one of their frontends must not take it while both change.
        for key, rules in sorted(changes.items(), key=lambda change: (change[0] in self.shadowed, change[0])):
            if rules is None:
                continue
            taken = [frontend for frontend in rules.verdicts if frontend in owners]
            if taken:
                shadowed.add(key)
                rules = rules.without(taken)
            services[key] = rules
            owners.update(dict.fromkeys(rules.verdicts, key))
            hairpin.update(rules.hairpin)
        return Ruleset(services, owners, +hairpin, frozenset(shadowed))


def desired(services: Iterable[Service], node: Node, *, previous: Ruleset | None = None) -> Ruleset:
    """The ruleset for exactly these services, with places kept as in `previous`."""
    known = previous.services if previous else {}
    return Ruleset().updated({s.key: service_rules(s, node, previous=known.get(s.key, EMPTY)) for s in services})


def service_rules(service: Service, node: Node, *, previous: ServiceRules = EMPTY) -> ServiceRules:
    """The elements of one service, with places kept as in `previous`."""
    compiler = _Compiler(service, node, previous)
    for port in service.ports:
        compiler.add(port)
    return compiler.finished()


class _Compiler:
    def __init__(self, service: Service, node: Node, previous: ServiceRules) -> None:
        self._service, self._node, self._previous = service, node, previous
        self._verdicts: dict[Frontend, Verdict] = {}
        self._endpoints: dict[Place, Backend] = {}
        self._sticky: dict[Place, int] = {}
        self._order: dict[tuple[str, Protocol, bool], tuple[Backend, ...]] = {}
        self._hairpin: set[str] = set()

    def add(self, port: ServicePort) -> None:
        service = self._service
        endpoints = service.endpoints.get(port.key, ())
        self._hairpin.update(endpoint.backend.address for endpoint in endpoints if endpoint.local)
        everywhere = self._placed(port, usable(endpoints), local=False)
        here: tuple[Backend, ...] = ()
        if service.internal_local or service.external_local:
            here = self._placed(port, usable(endpoints, local_only=True), local=True)
        for address in service.cluster_ips:
            if address not in self._node.served_here:
                frontend = Frontend(address, port.protocol, port.port)
                self._verdicts[frontend] = self._internal(frontend, everywhere, here)
        external = [Frontend(address, port.protocol, port.port) for address in service.external_ips]
        if port.node_port:
            external += [Frontend(address, port.protocol, port.node_port) for address in self._node.addresses]
        for frontend in external:
            self._verdicts[frontend] = self._external(frontend, everywhere, here)

    def finished(self) -> ServiceRules:
        return ServiceRules(self._verdicts, self._endpoints, self._sticky, frozenset(self._hairpin), self._order)

    def _internal(self, frontend: Frontend, everywhere: tuple[Backend, ...], here: tuple[Backend, ...]) -> Verdict:
        if not everywhere:
            return Refusal.REJECT
        if self._service.internal_local:
            return self._balance(frontend, here, Mark.LOCAL | Mark.MASQUERADE) if here else Refusal.DROP
        return self._balance(frontend, everywhere, Mark.MASQUERADE)

    def _external(self, frontend: Frontend, everywhere: tuple[Backend, ...], here: tuple[Backend, ...]) -> Verdict:
        if not everywhere:
            return Refusal.REJECT
        inside = self._balance(frontend, everywhere, Mark.MASQUERADE)
        if not self._service.external_local:
            return inside
        return Split(inside, self._balance(frontend, here, Mark.LOCAL) if here else Refusal.DROP)

    def _balance(self, frontend: Frontend, backends: tuple[Backend, ...], flags: Mark) -> Balance:
        base = int(Mark.OURS | flags)
        timeout_s = self._service.affinity_timeout_s
        if timeout_s:
            numbers = sticky_numbers(backends)
            for place, backend in enumerate(backends):
                number = base | Mark.STICKY | numbers[backend]
                self._sticky[frontend, base | place] = number
                self._sticky[frontend, number] = number
                self._endpoints[frontend, number] = backend
        else:
            for place, backend in enumerate(backends):
                self._endpoints[frontend, base | place] = backend
        return Balance(len(backends), Mark.OURS | flags, timeout_s)

    def _placed(self, port: ServicePort, backends: tuple[Backend, ...], *, local: bool) -> tuple[Backend, ...]:
        key = (*port.key, local)
        placed = keep_places(self._previous.order.get(key, ()), backends[:ENDPOINTS_MAX])
        self._order[key] = placed
        return placed


def keep_places(before: tuple[Backend, ...], wanted: tuple[Backend, ...]) -> tuple[Backend, ...]:
    """Order `wanted` so that as few as possible stand elsewhere than in `before`, without holes."""
    known, keep = set(before), set(wanted)
    fresh = iter([backend for backend in wanted if backend not in known])
    placed = [backend if backend in keep else next(fresh, None) for backend in before]
    placed += fresh
    while len(placed) > len(wanted):
        last = placed.pop()
        if last is not None:
            placed[placed.index(None)] = last
    return tuple(backend for backend in placed if backend is not None)


def sticky_numbers(backends: Iterable[Backend]) -> dict[Backend, int]:
    """A 16-bit number for each backend: the same whatever its neighbours, save when two collide."""
    numbers: dict[Backend, int] = {}
    used: set[int] = set()
    for backend in sorted(backends):
        number = zlib.crc32(f"{backend.address}:{backend.port}".encode()) % ENDPOINTS_MAX
        while number in used:
            number = (number + 1) % ENDPOINTS_MAX
        used.add(number)
        numbers[backend] = number
    return numbers
