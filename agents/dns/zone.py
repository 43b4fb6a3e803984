"""The cluster's own names: what to answer, from services and endpoints held in memory. No I/O.

Follows Kubernetes' DNS specification 1.1.0. With the domain `cluster.local`:

    web.default.svc.cluster.local              A     10.96.0.7, or every ready endpoint of a headless service
    db-0.db.default.svc.cluster.local          A     one endpoint of a headless service, by hostname or 10-244-0-3
    _http._tcp.web.default.svc.cluster.local   SRV   port and target
    7.0.96.10.in-addr.arpa                     PTR   web.default.svc.cluster.local
    10-244-0-3.default.pod.cluster.local       A     10.244.0.3, by the name alone

A name that exists without the asked type is answered with no records, one that does not exist with NO_SUCH_NAME, both
with the zone's SOA. A name outside the domain and outside the reverse zones of the cluster's ranges is not answered
here at all: None.
"""

import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .wire import Answer, Code, Record, Type, text_data, write_name

TTL_S = 5
CHAIN_MAX = 8
"""External names that are followed within the cluster."""
_REVERSE_V4, _REVERSE_V6 = "in-addr.arpa", "ip6.arpa"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Port:
    name: str
    protocol: str
    """tcp, udp or sctp."""
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """A ready endpoint of a headless service."""

    name: str
    """Its hostname, or its address with dashes."""
    address: str
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceNames:
    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    """Service addresses; empty for headless and external services."""
    ports: tuple[Port, ...] = ()
    hosts: tuple[Host, ...] = ()
    external_name: str = ""


class Zone:
    """Answers by `lookup`; kept up to date by `put` and `remove`. Keys are NAMESPACE/NAME."""

    def __init__(self, domain: str, *, address: str, networks: tuple[Network, ...]) -> None:
        """`address` is where this server answers; `networks` are the ranges whose reverse names are the cluster's."""
        self.domain = domain
        self._suffix = "." + domain
        self._address = address
        self._networks = networks
        self._services: dict[tuple[str, str], ServiceNames] = {}
        self._namespaces: Counter[str] = Counter()
        self._reverse: dict[str, dict[tuple[str, str], str]] = {}
        self._serial = 0

    def put(self, names: ServiceNames) -> None:
        """Take a service's names in, instead of those it had."""
        self.remove(names.namespace, names.name)
        key = (names.namespace, names.name)
        self._services[key] = names
        self._namespaces[names.namespace] += 1
        for address, target in self._targets(names):
            self._reverse.setdefault(address, {})[key] = target

    def remove(self, namespace: str, name: str) -> None:
        key = (namespace, name)
        self._serial = (self._serial + 1) & 0x7FFFFFFF
        names = self._services.pop(key, None)
        if names is None:
            return
        self._namespaces[namespace] -= 1
        if not self._namespaces[namespace]:
            del self._namespaces[namespace]
        for address, _ in self._targets(names):
            held = self._reverse.get(address, {})
            held.pop(key, None)
            if not held:
                self._reverse.pop(address, None)

    def lookup(self, name: str, kind: int) -> Answer | None:
        """The answer for a name in lower case without final dot; None when the name is not the cluster's.

        An answer may end in a CNAME to a name that is not the cluster's: the caller asks on.
        """
        if name == self.domain or name.endswith(self._suffix):
            return self._chased(name, kind)
        if name.endswith((_REVERSE_V4, _REVERSE_V6)):
            return self._reverse_lookup(name, kind)
        return None

    def soa(self, owner: str = "") -> Record:
        numbers = struct.pack("!IIIII", self._serial, 7200, 1800, 86400, TTL_S)
        primary = write_name(f"ns.dns{self._suffix}") + write_name(f"hostmaster{self._suffix}")
        return Record(owner or self.domain, Type.SOA, TTL_S, primary + numbers)

    def _chased(self, name: str, kind: int) -> Answer:
        records: list[Record] = []
        for _ in range(CHAIN_MAX):
            found = self._records(name)
            if found is None:
                code = Code.OK if records else Code.NO_SUCH_NAME
                return Answer(code, tuple(records), authority=(self.soa(),))
            fitting = [record for record in found if kind in (record.type, Type.ANY)]
            alias = next((record for record in found if record.type == Type.CNAME), None)
            if alias is None or kind in (Type.CNAME, Type.ANY):
                records += fitting
                return Answer(Code.OK, tuple(records), () if fitting else (self.soa(),), self._glue(fitting))
            records.append(alias)
            name = cname_target(alias)
            if name != self.domain and not name.endswith(self._suffix):
                break
        return Answer(Code.OK, tuple(records))

    def _records(self, name: str) -> list[Record] | None:
        """All records of a name of the domain; empty for one that only has names below it, None for no such name."""
        labels = name.removesuffix(self.domain).removesuffix(".").split(".")
        match labels:
            case [""]:
                return [self.soa(), Record(name, Type.NS, TTL_S, write_name(f"ns.dns{self._suffix}"))]
            case ["dns-version"]:
                return [Record(name, Type.TXT, TTL_S, text_data(["1.1.0"]))]
            case ["ns", "dns"]:
                return [_address(name, self._address)]
            case ["svc" | "pod" | "dns"]:
                return []
            case [*host, "pod"]:
                return self._pod(name, host)
            case [*host, namespace, "svc"] if namespace in self._namespaces:
                return self._service(name, host, namespace)
        return None

    def _pod(self, name: str, host: list[str]) -> list[Record] | None:
        if len(host) == 1:
            return []
        address = _dashed(host[0]) if len(host) == 2 else None
        return [_address(name, address)] if address else None

    def _service(self, name: str, host: list[str], namespace: str) -> list[Record] | None:
        if not host:
            return []
        service = self._services.get((namespace, host[-1]))
        if service is None:
            return None
        match host[:-1]:
            case []:
                return list(_service_records(name, service))
            case [hostname] if not hostname.startswith("_"):
                found = [_address(name, entry.address) for entry in service.hosts if entry.name == hostname]
                return found or None
            case [protocol]:
                below = any(f"_{port.protocol}" == protocol for port in _all_ports(service))
                return [] if below else None
            case [port_name, protocol]:
                return list(self._srv(name, service, port_name, protocol)) or None
        return None

    def _srv(self, name: str, service: ServiceNames, port_name: str, protocol: str) -> Iterator[Record]:
        own = self._name(service)
        targets = [(port, own) for port in service.ports] if service.addresses else []
        targets += [(port, f"{host.name}.{own}") for host in service.hosts for port in host.ports]
        for port, target in dict.fromkeys(targets):
            if port.name and f"_{port.name}" == port_name and f"_{port.protocol}" == protocol:
                yield Record(name, Type.SRV, TTL_S, struct.pack("!HHH", 0, 100, port.port) + write_name(target))

    def _glue(self, records: list[Record]) -> tuple[Record, ...]:
        """The addresses of SRV targets, so that the client need not ask for them."""
        found: list[Record] = []
        for record in records:
            if record.type == Type.SRV:
                target = read_target(record.data[6:])
                found += [glue for glue in self._records(target) or () if glue.type in (Type.A, Type.AAAA)]
        return tuple(dict.fromkeys(found))

    def _reverse_lookup(self, name: str, kind: int) -> Answer | None:
        network = reverse_network(name)
        if network is None or not any(_within(network, ours) for ours in self._networks):
            return None
        soa = self.soa(name)
        if network.prefixlen < network.max_prefixlen:
            return Answer(authority=(soa,))
        targets = self._reverse.get(str(network.network_address), {})
        if not targets:
            return Answer(Code.NO_SUCH_NAME, authority=(soa,))
        if kind not in (Type.PTR, Type.ANY):
            return Answer(authority=(soa,))
        return Answer(records=tuple(Record(name, Type.PTR, TTL_S, write_name(t)) for t in sorted(targets.values())))

    def _targets(self, names: ServiceNames) -> Iterator[tuple[str, str]]:
        own = self._name(names)
        for address in names.addresses:
            yield address, own
        for host in names.hosts:
            yield host.address, f"{host.name}.{own}"

    def _name(self, service: ServiceNames) -> str:
        return f"{service.name}.{service.namespace}.svc{self._suffix}"


def _service_records(name: str, service: ServiceNames) -> Iterator[Record]:
    if service.external_name:
        yield Record(name, Type.CNAME, TTL_S, write_name(service.external_name))
    for address in dict.fromkeys(service.addresses or [host.address for host in service.hosts]):
        yield _address(name, address)


def _all_ports(service: ServiceNames) -> Iterator[Port]:
    yield from service.ports
    for host in service.hosts:
        yield from host.ports


def _address(name: str, address: str) -> Record:
    if ":" in address:
        return Record(name, Type.AAAA, TTL_S, socket.inet_pton(socket.AF_INET6, address))
    return Record(name, Type.A, TTL_S, socket.inet_aton(address))


def _dashed(label: str) -> str | None:
    for text in (label.replace("-", "."), label.replace("-", ":")):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return None


def cname_target(record: Record) -> str:
    """The name that an alias stands for."""
    return read_target(record.data)


def read_target(data: bytes) -> str:
    """The uncompressed name that starts `data`."""
    labels, offset = [], 0
    while data[offset]:
        labels.append(data[offset + 1 : offset + 1 + data[offset]].decode("latin-1"))
        offset += data[offset] + 1
    return ".".join(labels)


def reverse_network(name: str) -> Network | None:
    """The range that a name under in-addr.arpa or ip6.arpa stands for; None for anything else."""
    for suffix, version, digits, base, bits in ((_REVERSE_V4, 4, 4, 10, 8), (_REVERSE_V6, 6, 32, 16, 4)):
        if not name.endswith("." + suffix):
            continue
        labels = name.removesuffix("." + suffix).split(".")
        if len(labels) > digits or not all(label.isascii() and label.isalnum() for label in labels):
            return None
        try:
            parts = [int(label, base) for label in reversed(labels)]
        except ValueError:
            return None
        if not all(part < 1 << bits for part in parts):
            return None
        value = sum(part << bits * (digits - 1 - place) for place, part in enumerate(parts))
        if version == 4:
            return ipaddress.IPv4Network((value, bits * len(parts)))
        return ipaddress.IPv6Network((value, bits * len(parts)))
    return None


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
