"""Points in time and lengths of time, as the API's messages, RFC 3339 text, Go duration text and people's words.

`meta.Time` has whole seconds, `meta.MicroTime` microseconds; both are UTC and both are absent when empty.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from raftsman.meta import v1 as meta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_S = 10**9
_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _S, "m": 60 * _S, "h": 3600 * _S}


YEAR_ONE_S = -62_135_596_800
"""0001-01-01T00:00:00Z, which stands for no time (Go's zero time)."""
YEAR_10000_S = 253_402_300_800
_SECONDS_LENGTH = len("2006-01-02T15:04:05")


def now() -> meta.Time:
    """The current time, whole seconds."""
    return meta.Time(seconds=int(time.time()))


def micro_now() -> meta.MicroTime:
    """The current time, whole microseconds."""
    micros = time.time_ns() // 1000
    return meta.MicroTime(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)


def is_zero(moment: meta.Time | meta.MicroTime) -> bool:
    """Whether the message is empty, which JSON shows as null."""
    return not moment.seconds and not moment.nanos


def to_datetime(moment: meta.Time | meta.MicroTime) -> datetime:
    """An aware datetime in UTC, exact to the microsecond."""
    return _EPOCH + timedelta(seconds=moment.seconds, microseconds=moment.nanos // 1000)


def from_datetime(moment: datetime) -> meta.Time:
    """The API's time of an aware datetime, truncated to seconds."""
    return meta.Time(seconds=(moment - _EPOCH) // timedelta(seconds=1))


def micro_from_datetime(moment: datetime) -> meta.MicroTime:
    """The API's micro-time of an aware datetime."""
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return meta.MicroTime(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)


def parse_rfc3339(text: str) -> tuple[int, int]:
    """(seconds since 1970, nanoseconds) of RFC 3339 text; ValueError names the text."""
    found = _RFC3339.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write RFC 3339, as in 2026-01-31T15:04:05Z") from None
    nanos = int((found[7] or "0").ljust(9, "0"))
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if found[9]:
        offset_s = int(found[10]) * 3600 + int(found[11]) * 60
        seconds -= offset_s if found[9] == "+" else -offset_s
    if not YEAR_ONE_S <= seconds < YEAR_10000_S:
        raise ValueError(f"{text!r} is not a time: in UTC it is outside of the years 1 to 9999")
    return seconds, nanos


def format_seconds(seconds: int) -> str:
    """RFC 3339 with whole seconds, as `metav1.Time` prints. ValueError outside of the years 1 to 9999."""
    if not YEAR_ONE_S <= seconds < YEAR_10000_S:
        raise ValueError(f"{seconds} s since 1970 are outside of the years 1 to 9999")
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:_SECONDS_LENGTH] + "Z"


def format_micros(seconds: int, nanos: int) -> str:
    """RFC 3339 with six digits after the second, as `metav1.MicroTime` prints. ValueError as above, and for nanos."""
    if not 0 <= nanos < 10**9:
        raise ValueError(f"{nanos} ns are no part of a second")
    return f"{format_seconds(seconds)[:-1]}.{nanos // 1000:06d}Z"


def human_duration(seconds: float) -> str:
    """How long, in the few characters of an AGE column: `12s`, `3m20s`, `2h`, `5d3h`, `1y20d`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def age(moment: meta.Time | meta.MicroTime, *, now: datetime | None = None) -> str:
    """How long ago, as in an AGE column; `<unknown>` for an empty time."""
    if is_zero(moment):
        return "<unknown>"
    return human_duration(((now or datetime.now(UTC)) - to_datetime(moment)).total_seconds())


def parse_duration(text: str) -> int:
    """Nanoseconds of Go duration text such as `1h30m`, `1.5s`, `0`; ValueError names the text."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = 0, 0
    for part in _DURATION_PART.finditer(rest):
        if part.start() != position:
            break
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS_NS[part[2]]
        total += int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = part.end()
    if not rest or position != len(rest) or total >= 2**63:
        raise ValueError(f"{text!r} is not a duration: write numbers with units, as in 300ms, 90s or 1h30m")
    return sign * total


def format_duration(nanos: int) -> str:
    """Go duration text of nanoseconds: `1h0m0s`, `1.5s`, `300ms`, `0s`."""
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    if rest == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if rest < size * 1000:
            return f"{sign}{_fraction(rest, size)}{unit}"
    minutes, seconds_ns = divmod(rest, 60 * 10**9)
    text = f"{_fraction(seconds_ns, 10**9)}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _fraction(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{str(rest).rjust(digits, '0').rstrip('0')}" if rest else str(whole)
