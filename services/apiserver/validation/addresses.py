"""IP addresses and networks as text: well formed, and in the one form that everybody reads alike.

Leading zeros (octal to some), IPv4-mapped IPv6 and bits beyond the prefix are refused, unless the same text stood in
the old object (`kept`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container

from .causes import Causes

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ZEROS = re.compile(r"(^|[./])0+(?=\d)")
_NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_NETWORK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parsed(text: str) -> Address | None:
    """The address, leading zeros and all; None if it is none. A zone (`%eth0`) is no part of an address."""
    try:
        return None if "%" in text else ipaddress.ip_address(_ZEROS.sub(r"\1", text))
    except ValueError:
        return None


def parsed_network(text: str) -> tuple[Address, Network] | None:
    """(the address as written, its network)."""
    host, slash, length = text.partition("/")
    address = parsed(host)
    if address is None or not slash or not length.isascii() or not length.isdigit():
        return None
    try:
        return address, ipaddress.ip_network(f"{address}/{int(length)}", strict=False)
    except ValueError:
        return None


def wrong_with_address(text: str) -> list[str]:
    """What an address in its canonical form must not be, as a rule of names."""
    address = parsed(text)
    if address is None:
        return [_NO_ADDRESS]
    if _ZEROS.search(text) and address.version == 4:
        return ["must not have leading 0s"]
    if _mapped(address):
        return ["must not be an IPv4-mapped IPv6 address"]
    return [] if str(address) == text else [f'must be in canonical form ("{address}")']


def address(text: str, causes: Causes, *, path: str, kept: Container[str] = ()) -> None:
    """An address; IPv6 may be written in any of its forms."""
    if text in kept:
        return
    wrong = wrong_with_address(text)
    if wrong and not wrong[0].startswith("must be in canonical form"):
        causes.invalid(path, text, wrong[0])


def network(text: str, causes: Causes, *, path: str, kept: Container[str] = ()) -> Network | None:
    """The network that `text` means, also where a cause was added that it could be written better."""
    found = parsed_network(text)
    if found is None:
        if text not in kept:
            causes.invalid(path, text, _NO_NETWORK)
        return None
    written, network_ = found
    if text in kept:
        return network_
    if written.version == 4 and _ZEROS.search(text):
        causes.invalid(path, text, "must not have leading 0s in IP or prefix length")
    elif _mapped(written):
        causes.invalid(path, text, "must not have an IPv4-mapped IPv6 address")
    elif written != network_.network_address:
        causes.invalid(path, text, "must not have bits set beyond the prefix length")
    return network_


def canonical_network(text: str, causes: Causes, *, path: str) -> Network | None:
    """A network in the one form that it is stored and compared in."""
    before = len(causes.found)
    found = network(text, causes, path=path)
    if found is not None and len(causes.found) == before and str(found) != text:
        causes.invalid(path, text, f'must be in canonical form ("{found}")')
    return found


def _mapped(found: Address) -> bool:
    return isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None
