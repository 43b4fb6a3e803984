"""The formats of strings that a schema may demand. Unknown formats are ignored, as Kubernetes ignores them."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from raftsman import times

_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_HOST = re.compile(
    r"([a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?)(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?)*\.?"
)
_EMAIL = re.compile(r"[^@\s<>()\[\],;:\"]+@[^@\s]+")
_DURATION = re.compile(
    r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)(((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*)|[-+]?0"
)
_WORDY_DURATION = re.compile(
    r"(\d+\s*(ns|nanos?|us|µs|micros?|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hr|hours?|d|days?|w|weeks?)\s*)+"
)


def _re(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    found = re.compile(pattern, flags)
    return lambda text: found.fullmatch(text) is not None


def _date_time(text: str) -> bool:
    times.parse_rfc3339(text)
    return True


def _ip(version: int) -> Callable[[str], bool]:
    return lambda text: ipaddress.ip_address(text).version == version


def _cidr(text: str) -> bool:
    return "/" in text and ipaddress.ip_network(text, strict=False) is not None


def _byte(text: str) -> bool:
    base64.b64decode(text, validate=True)
    return True


def _uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) or text.startswith("/")


def _luhn(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    if not re.fullmatch(r"\d{12,19}", digits):
        return False
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _isbn(text: str, *, lengths: tuple[int, ...]) -> bool:
    digits = re.sub(r"[ -]", "", text)
    if len(digits) not in lengths:
        return False
    if len(digits) == 10:
        values = [10 if d in "Xx" and i == 9 else int(d) for i, d in enumerate(digits)]
        return sum((10 - i) * v for i, v in enumerate(values)) % 11 == 0
    return sum(int(d) * (1, 3)[i % 2] for i, d in enumerate(digits)) % 10 == 0


def _short_name(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text) is not None and len(text) <= 63


def _long_name(text: str) -> bool:
    return len(text) <= 253 and all(_short_name(part) for part in text.split("."))


_KNOWN: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _re(r"[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": lambda text: len(text) <= 255 and _HOST.fullmatch(text) is not None,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "cidr": _cidr,
    "mac": _re(r"([0-9A-Fa-f]{2}([:-])([0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})|([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"),
    "uuid": _re(_UUID % ("[0-9a-f]", "[0-9a-f]"), re.I),
    "uuid3": _re(_UUID % ("3", "[0-9a-f]"), re.I),
    "uuid4": _re(_UUID % ("4", "[89ab]"), re.I),
    "uuid5": _re(_UUID % ("5", "[89ab]"), re.I),
    "isbn": lambda text: _isbn(text, lengths=(10, 13)),
    "isbn10": lambda text: _isbn(text, lengths=(10,)),
    "isbn13": lambda text: _isbn(text, lengths=(13,)),
    "creditcard": _luhn,
    "ssn": _re(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _re(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _re(
        r"rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])(\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])){2}\s*\)"
    ),
    "byte": _byte,
    "date": lambda text: date.fromisoformat(text) is not None and len(text) == 10,
    "duration": lambda text: bool(_DURATION.fullmatch(text) or _WORDY_DURATION.fullmatch(text)),
    "datetime": _date_time,
    "k8sshortname": _short_name,
    "k8slongname": _long_name,
}


def fits(name: str, text: str) -> bool:
    """Whether a text has a format; true for formats that nobody knows. Dashes in a format's name do not count."""
    check = _KNOWN.get(name.replace("-", ""))
    if check is None:
        return True
    try:
        return check(text)
    except (ValueError, binascii.Error):
        return False


def is_known(name: str) -> bool:
    return name.replace("-", "") in _KNOWN
