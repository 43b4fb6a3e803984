"""Write a change of rules down as one nftables transaction. Pure: two rulesets in, commands out.

All elements of one map go into one command, deletions first: a thousand endpoint changes cost 12 ms that way and
two seconds singly. Chains are made when a count of endpoints is first seen and stay until the table is made anew,
which bounds them by the distinct counts ever seen.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .ruleset import EMPTY, Balance, Mark, Outcome, Place, Refusal, Ruleset, Split, Verdict
from .service import Backend, Frontend, Protocol

AFFINITY_CLIENTS_MAX = 65535
"""Client and frontend pairs that are remembered; beyond that a new client is balanced without memory."""
FAMILY = "inet"

_FRONTEND = "ip daddr . meta l4proto . th dport"
_SEND = f"dnat ip to {_FRONTEND} . meta mark map @endpoints"
_OWN_MASK = 0xFF000000
_MAPS = ("services", "endpoints", "sticky", "hairpin")


@dataclass(frozen=True, slots=True)
class Table:
    """The proxy's own table: its name, and the ranges that it must know."""

    name: str
    service_cidr: ipaddress.IPv4Network
    cluster_cidr: ipaddress.IPv4Network
    """All pods' addresses."""


@dataclass(frozen=True, slots=True)
class Transaction:
    commands: str = ""
    """nft(8) commands; empty when there is nothing to do."""
    chains: frozenset[str] = frozenset()
    """The balancing chains that exist once it is applied."""
    stale_udp: frozenset[Frontend] = frozenset()
    """UDP frontends of which a backend went, or that were not served before."""


def diff(old: Ruleset, new: Ruleset, table: Table, *, chains: frozenset[str]) -> Transaction:
    """The change from `old` to `new` in a table that holds `old` and the balancing chains `chains`."""
    change = _Change(table)
    for key in old.services.keys() | new.services.keys():
        before, after = old.services.get(key, EMPTY), new.services.get(key, EMPTY)
        if before is not after:
            change.verdicts(before.verdicts, after.verdicts)
            change.endpoints(before.endpoints, after.endpoints)
            change.map("sticky", _marks(before.sticky), _marks(after.sticky))
    change.map("hairpin", dict.fromkeys(map(_pair, old.hairpin), ""), dict.fromkeys(map(_pair, new.hairpin), ""))
    return change.finished(chains)


def full(new: Ruleset, table: Table, *, anew: bool = False) -> Transaction:
    """Everything, in a table that holds anything or does not exist: at no moment are rules missing.

    `anew` also throws away what a former table of another shape would clash with, and with it the remembered clients.
    """
    filled = diff(Ruleset(), new, table, chains=frozenset())
    head = [f"add table {FAMILY} {table.name}"]
    if anew:
        head += [f"delete table {FAMILY} {table.name}", f"add table {FAMILY} {table.name}"]
    head += base(table)
    return Transaction("\n".join([*head, filled.commands]), filled.chains, filled.stale_udp)


def base(table: Table) -> list[str]:
    """The commands that make (or empty) the table, its maps and the rules that do not depend on services."""
    prefix = f"{FAMILY} {table.name}"
    frontend = "ipv4_addr . inet_proto . inet_service"
    maps = {
        "map services": f"type {frontend} : verdict",
        "map endpoints": f"type {frontend} . mark : ipv4_addr . inet_service",
        "map sticky": f"type {frontend} . mark : mark",
        "set hairpin": "type ipv4_addr . ipv4_addr",
    }
    remembered = f"type ipv4_addr . {frontend} : mark ; flags dynamic,timeout ; size {AFFINITY_CLIENTS_MAX}"
    hooks = {"prerouting": "prerouting priority -100", "output": "output priority -100"}
    hooks["postrouting"] = "postrouting priority 100"
    commands = [f"flush table {prefix}"]
    for name, definition in maps.items():
        kind, _, short = name.partition(" ")
        commands += [f"add {kind} {prefix} {short} {{ {definition} ; }}", f"flush {kind} {prefix} {short}"]
    commands.append(f"add map {prefix} affinity {{ {remembered} ; }}")
    commands += [f"add chain {prefix} {chain}" for chain in ("dispatch", "refuse")]
    commands += [f"add chain {prefix} {name} {{ type nat hook {hook} ; }}" for name, hook in hooks.items()]
    commands += [f"add rule {prefix} {rule}" for rule in _fixed_rules(table)]
    return commands


def _fixed_rules(table: Table) -> list[str]:
    masquerade = int(Mark.OURS | Mark.MASQUERADE)
    return [
        "prerouting jump dispatch",
        "output jump dispatch",
        "dispatch ip daddr . meta l4proto . th dport vmap @services",
        # Packets to a service address that nothing serves end here, not at the default gateway.
        f"dispatch ip daddr {table.service_cidr} fib daddr type != local goto refuse",
        # ICMP errors are rate-limited, resets are not.
        "refuse meta l4proto tcp reject with tcp reset",
        "refuse reject with icmpx port-unreachable",
        f"postrouting meta mark & {_OWN_MASK:#x} != {int(Mark.OURS):#x} return",
        'postrouting oifname "lo" meta mark set 0 return',
        "postrouting ip saddr . ip daddr @hairpin meta mark set 0 masquerade fully-random",
        f"postrouting meta mark & {_OWN_MASK | Mark.MASQUERADE:#x} == {masquerade:#x} "
        f"ip saddr != {table.cluster_cidr} meta mark set 0 masquerade fully-random",
        "postrouting meta mark set 0",
    ]


class _Change:
    """Collects what to delete from and add to each map, as text."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._removed: dict[str, list[str]] = {name: [] for name in _MAPS}
        self._added: dict[str, list[str]] = {name: [] for name in _MAPS}
        self._verdicts: set[Verdict] = set()
        self._stale_udp: set[Frontend] = set()

    def verdicts(self, before: Mapping[Frontend, Verdict], after: Mapping[Frontend, Verdict]) -> None:
        self._verdicts.update(verdict for frontend, verdict in after.items() if before.get(frontend) != verdict)
        self._stale_udp.update(f for f in before.keys() ^ after.keys() if f.protocol is Protocol.UDP)
        self.map(
            "services",
            {_text(frontend): _verdict_text(verdict) for frontend, verdict in before.items()},
            {_text(frontend): _verdict_text(verdict) for frontend, verdict in after.items()},
        )

    def endpoints(self, before: Mapping[Place, Backend], after: Mapping[Place, Backend]) -> None:
        gone = (place[0] for place, backend in before.items() if after.get(place) != backend)
        self._stale_udp.update(frontend for frontend in gone if frontend.protocol is Protocol.UDP)
        self.map("endpoints", _backends(before), _backends(after))

    def map(self, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self._removed[name] += [key for key, value in before.items() if after.get(key) != value]
        self._added[name] += [f"{k} : {v}" if v else k for k, v in after.items() if before.get(k) != v]

    def finished(self, chains: frozenset[str]) -> Transaction:
        prefix = f"{FAMILY} {self._table.name}"
        wanted = {chain.chain: chain for verdict in self._verdicts for chain in _chains(verdict)}
        missing = [wanted[name] for name in sorted(wanted.keys() - chains)]
        removed = [(name, keys) for name, keys in self._removed.items() if keys]
        added = [(name, items) for name, items in self._added.items() if items]
        commands = [
            *(f"delete element {prefix} {name} {{ {', '.join(keys)} }}" for name, keys in removed),
            *(f"add chain {prefix} {chain.chain}" for chain in missing),
            # A chain of that name may be left from an earlier run.
            *(f"flush chain {prefix} {chain.chain}" for chain in missing),
            *(f"add rule {prefix} {chain.chain} {rule}" for chain in missing for rule in _rules(chain, self._table)),
            *(f"add element {prefix} {name} {{ {', '.join(items)} }}" for name, items in added),
        ]
        return Transaction("\n".join(commands), chains | wanted.keys(), frozenset(self._stale_udp))


def _chains(verdict: Verdict) -> Iterator[Balance | Split]:
    """The chains that a verdict needs, each before those that go to it."""
    if isinstance(verdict, Split):
        yield from _chains(verdict.inside)
        yield from _chains(verdict.outside)
    if not isinstance(verdict, Refusal):
        yield verdict


def _rules(chain: Balance | Split, table: Table) -> list[str]:
    if isinstance(chain, Split):
        inside = _outcome_text(chain.inside)
        return [
            f"ip saddr {table.cluster_cidr} {inside}",
            f"fib saddr type local {inside}",
            _outcome_text(chain.outside),
        ]
    if chain.affinity_timeout_s:
        return _sticky_rules(chain)
    # The kernel may go over to the next generation of elements between two lookups of one packet. A place that is
    # then gone falls through to the first, which is there as long as any is.
    choices = [f"numgen random mod {chain.count} offset {int(chain.mark):#x}", f"{int(chain.mark):#x}"]
    return [*(f"meta mark set {choice} {_SEND}" for choice in choices), f"goto {Refusal.REJECT.chain}"]


def _sticky_rules(chain: Balance) -> list[str]:
    client = f"ip saddr . {_FRONTEND}"
    remember = f"update @affinity {{ {client} timeout {chain.affinity_timeout_s}s : meta mark }}"
    check = f"meta mark set {_FRONTEND} . meta mark map @sticky"
    return [
        # A number maps to itself while its endpoint takes connections; else this rule ends here.
        f"meta mark set {client} map @affinity {check} {remember} {_SEND}",
        # An update of an element that exists keeps its value, so what is out of date has to go first.
        f"delete @affinity {{ {client} : meta mark }}",
        f"meta mark set numgen random mod {chain.count} offset {int(chain.mark):#x} {check}",
        # A rule of its own: when the map is full this one ends here and the next still sends.
        remember,
        _SEND,
        f"meta mark set {int(chain.mark):#x} {check} {_SEND}",
        f"goto {Refusal.REJECT.chain}",
    ]


def _verdict_text(verdict: Verdict) -> str:
    return f"goto {verdict.chain}" if isinstance(verdict, Split) else _outcome_text(verdict)


def _outcome_text(outcome: Outcome) -> str:
    return "drop" if outcome is Refusal.DROP else f"goto {outcome.chain}"


def _text(frontend: Frontend) -> str:
    return f"{frontend.address} . {frontend.protocol.value} . {frontend.port}"


def _pair(address: str) -> str:
    return f"{address} . {address}"


def _marks(places: Mapping[Place, int]) -> dict[str, str]:
    return {f"{_text(frontend)} . {mark:#x}": f"{number:#x}" for (frontend, mark), number in places.items()}


def _backends(places: Mapping[Place, Backend]) -> dict[str, str]:
    return {
        f"{_text(frontend)} . {mark:#x}": f"{backend.address} . {backend.port}"
        for (frontend, mark), backend in places.items()
    }
