"""Kubernetes' own CEL functions: quantities, URLs, addresses, networks, versions.

A value of these kinds is a map with one key that tells its kind, in a canonical form, so that equal values are equal:
quantity("1000m") == quantity("1"). Functions take any value and say so when it is of another kind.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qs, urlsplit

from raftsman import quantity as quantities

_QUANTITY, _URL, _IP, _CIDR, _SEMVER = "quantity", "url", "ip", "cidr", "semver"
_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-.]+)?", re.ASCII
)
_NANO = 10**9
Value = dict[str, Any]


def _made(kind: str, value: Any) -> Value:
    return {f"kubernetes.{kind}": value}


def _of(kind: str, value: Any) -> Any:
    """ValueError if it is another kind's."""
    found = value.get(f"kubernetes.{kind}") if isinstance(value, dict) else None
    if found is None:
        raise ValueError(f"no such overload: it takes a {kind}")
    return found


def _is(make: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            make(text)
        except ValueError:
            return False
        return True

    return check


# -- quantities


def _quantity(text: str) -> Value:
    try:
        return _made(_QUANTITY, str(Fraction(quantities.parse(text).nano, _NANO)))
    except quantities.QuantityError as error:
        raise ValueError(str(error)) from None


def _number(value: Any) -> Fraction:
    if isinstance(value, int):
        return Fraction(value)
    return Fraction(_of(_QUANTITY, value))


def _add(one: Any, other: Any) -> Value:
    return _made(_QUANTITY, str(_number(one) + _number(other)))


def _sub(one: Any, other: Any) -> Value:
    return _made(_QUANTITY, str(_number(one) - _number(other)))


def _as_integer(value: Any) -> int:
    found = _number(value)
    if found.denominator != 1 or not -(1 << 63) <= found < 1 << 63:
        raise ValueError("cannot convert value to integer")
    return int(found)


# -- URLs


def _url(text: str) -> Value:
    parts = urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: {text!r} is no absolute URL")
    _ = parts.port
    return _made(_URL, text)


def _parts(value: Any) -> Any:
    return urlsplit(_of(_URL, value))


def _host(value: Any) -> str:
    host: str = _parts(value).netloc.rpartition("@")[2]
    return host


def _query(value: Any) -> dict[str, list[str]]:
    return parse_qs(_parts(value).query, keep_blank_values=True)


def _port(value: Any) -> str:
    port = _parts(value).port
    return "" if port is None else str(port)


def _hostname(value: Any) -> str:
    return _host(value).rpartition(":")[0].strip("[]") if _port(value) else _host(value).strip("[]")


# -- addresses and networks


def _ip(value: Any) -> Value:
    if isinstance(value, dict):
        return _made(_IP, str(ipaddress.ip_interface(_of(_CIDR, value)).ip))
    if "%" in value:
        raise ValueError(f"IP Address {value!r} parse error: it has a zone")
    return _made(_IP, str(ipaddress.ip_address(value)))


def _address(value: Any) -> Any:
    return ipaddress.ip_address(value if isinstance(value, str) else _of(_IP, value))


def _cidr(text: str) -> Value:
    if "/" not in text:
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    return _made(_CIDR, ipaddress.ip_interface(text).with_prefixlen)


def _network(value: Any) -> Any:
    return ipaddress.ip_interface(value if isinstance(value, str) else _of(_CIDR, value)).network


def _contains_ip(value: Any, address: Any) -> bool:
    found, network = _address(address), _network(value)
    return found.version == network.version and found in network


def _contains_cidr(value: Any, other: Any) -> bool:
    inner, outer = _network(other), _network(value)
    return inner.version == outer.version and bool(inner.subnet_of(outer))


def _is_canonical(text: str) -> bool:
    return str(ipaddress.ip_address(text)) == text


def _global_unicast(value: Any) -> bool:
    found = _address(value)
    local = found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
    return not local and str(found) != "255.255.255.255"


def _link_local(value: Any, *, multicast: bool) -> bool:
    found = _address(value)
    if not multicast:
        return bool(found.is_link_local)
    return found in (ipaddress.ip_network("224.0.0.0/24") if found.version == 4 else ipaddress.ip_network("ff02::/16"))


# -- versions


def _semver(text: str) -> Value:
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError(f"semver parse error during conversion from string: {text!r}")
    return _made(_SEMVER, [*map(int, found.groups()[:3]), found[4] or ""])


def _rank(value: Any) -> tuple[Any, ...]:
    *numbers, stage = _of(_SEMVER, value)
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in stage.split(".")] if stage else []
    return (*numbers, not stage, parts)


# -- what several kinds have


def _compare(one: Any, other: Any) -> int:
    semver = isinstance(one, dict) and f"kubernetes.{_SEMVER}" in one
    ours, theirs = (_rank(one), _rank(other)) if semver else ((_number(one),), (_number(other),))
    return (ours > theirs) - (ours < theirs)


def _sign(value: Any) -> int:
    found = _number(value)
    return (found > 0) - (found < 0)


def extension() -> Any:
    """All of them, declared."""
    from cel_expr_python import cel

    any_, text, truth = cel.Type.DYN, cel.Type.STRING, cel.Type.BOOL
    declared: dict[tuple[str, bool], list[Any]] = {}

    def declare(name: str, result: Any, parameters: list[Any], run: Callable[..., Any], *, member: bool) -> None:
        overloads = declared.setdefault((name, member), [])
        identity = f"kubernetes_{name}_{'member' if member else 'plain'}_{len(overloads)}"
        overloads.append(cel.Overload(identity, result, parameters, is_member=member, impl=run))

    for name, make in (("quantity", _quantity), ("url", _url), ("cidr", _cidr), ("semver", _semver), ("ip", _ip)):
        declare(name, any_, [text], make, member=False)
    for name, make in (
        ("isQuantity", _quantity), ("isURL", _url), ("isCIDR", _cidr), ("isSemver", _semver), ("isIP", _ip),
    ):  # fmt: skip
        declare(name, truth, [text], _is(make), member=False)
    declare("ip.isCanonical", truth, [text], _is_canonical, member=False)
    _members(cel, lambda name, result, parameters, run: declare(name, result, parameters, run, member=True))
    return cel.CelExtension("kubernetes", [cel.FunctionDecl(name, some) for (name, _), some in declared.items()])


def _members(cel: Any, declare: Callable[[str, Any, list[Any], Callable[..., Any]], None]) -> None:
    any_, text, truth, number = cel.Type.DYN, cel.Type.STRING, cel.Type.BOOL, cel.Type.INT
    for name, result, run in (
        ("isInteger", truth, lambda value: _number(value).denominator == 1),
        ("asInteger", number, _as_integer),
        ("asApproximateFloat", cel.Type.DOUBLE, lambda value: float(_number(value))),
        ("sign", number, _sign),
        ("getScheme", text, lambda value: _parts(value).scheme),
        ("getHost", text, _host),
        ("getHostname", text, _hostname),
        ("getPort", text, _port),
        ("getEscapedPath", text, lambda value: _parts(value).path),
        ("getQuery", cel.Type.Map(text, cel.Type.List(text)), _query),
        ("family", number, lambda value: _address(value).version),
        ("isUnspecified", truth, lambda value: _address(value).is_unspecified),
        ("isLoopback", truth, lambda value: _address(value).is_loopback),
        ("isLinkLocalUnicast", truth, lambda value: _link_local(value, multicast=False)),
        ("isLinkLocalMulticast", truth, lambda value: _link_local(value, multicast=True)),
        ("isGlobalUnicast", truth, _global_unicast),
        ("ip", any_, _ip),
        ("masked", any_, lambda value: _made(_CIDR, str(_network(value)))),
        ("prefixLength", number, lambda value: _network(value).prefixlen),
        ("major", number, lambda value: _of(_SEMVER, value)[0]),
        ("minor", number, lambda value: _of(_SEMVER, value)[1]),
        ("patch", number, lambda value: _of(_SEMVER, value)[2]),
    ):
        declare(name, result, [any_], run)
    for name, result, both in (
        ("isGreaterThan", truth, lambda one, other: _compare(one, other) > 0),
        ("isLessThan", truth, lambda one, other: _compare(one, other) < 0),
        ("compareTo", number, _compare),
        ("add", any_, _add),
        ("sub", any_, _sub),
        ("containsIP", truth, _contains_ip),
        ("containsCIDR", truth, _contains_cidr),
    ):
        declare(name, result, [any_, any_], both)
