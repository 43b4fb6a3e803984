"""Read API objects as names. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

from .wire import write_name
from .zone import Host, Port, ServiceNames

HEADLESS = "None"


def read(service: core.Service, slices: Iterable[discovery.EndpointSlice]) -> ServiceNames:
    """The names of a service; endpoints count only where it is headless."""
    spec = service.spec
    namespace, name = service.metadata.namespace, service.metadata.name
    if spec.type == "ExternalName":
        return ServiceNames(namespace, name, external_name=_external_name(spec.external_name))
    if spec.cluster_ip == HEADLESS:
        return ServiceNames(namespace, name, hosts=tuple(_hosts(slices)))
    addresses = tuple(filter(_is_address, spec.cluster_ips or [spec.cluster_ip]))
    ports = tuple(Port(port.name, (port.protocol or "TCP").lower(), port.port) for port in spec.ports)
    return ServiceNames(namespace, name, addresses=addresses, ports=ports)


def _hosts(slices: Iterable[discovery.EndpointSlice]) -> Iterator[Host]:
    for slice_ in slices:
        if slice_.address_type == "FQDN":
            continue
        ports = tuple(Port(port.name, (port.protocol or "TCP").lower(), port.port) for port in slice_.ports)
        for endpoint in slice_.endpoints:
            # Who publishes addresses that are not ready yet says so in the slice, as ready.
            if endpoint.conditions.HasField("ready") and not endpoint.conditions.ready:
                continue
            for address in filter(_is_address, endpoint.addresses):
                dashed = address.replace(".", "-").replace(":", "-")
                yield Host((endpoint.hostname or dashed).lower(), address, ports)


def _external_name(text: str) -> str:
    """The target of a CNAME; empty when no message could carry it."""
    name = text.lower().removesuffix(".")
    try:
        write_name(name)
    except (ValueError, UnicodeError):
        return ""
    return name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
