"""Schedules of cron jobs: five fields (minute, hour, day, month, weekday), or a descriptor such as `@daily`.

`problem("*/5 * * * 1-5")` is "". What it says of a bad one are the words of the parser that Kubernetes uses, which
people look for. Names of months and weekdays are known; Sunday is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftsman import times

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = "@every "


class _Wrong(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class _Bounds:
    first: int
    last: int
    names: tuple[tuple[str, int], ...] = ()


_FIELDS = (
    _Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, tuple(_MONTHS.items())),
    _Bounds(0, 6, tuple(_WEEKDAYS.items())),
)  # fmt: skip


def problem(text: str) -> str:
    """What is wrong with a schedule; "" if nothing is."""
    try:
        _check(text)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def _check(text: str) -> None:
    if not text:
        raise _Wrong("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        # That a zone stands here at all is told apart.
        text = text.partition(" ")[2].strip()
    if text.startswith("@"):
        _check_descriptor(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        found = " ".join(fields)
        raise _Wrong(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{found}]")
    for field, bounds in zip(fields, _FIELDS, strict=True):
        for part in filter(None, field.split(",")):
            _check_range(part, bounds)


def _check_descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if not text.startswith(_EVERY):
        raise _Wrong(f"unrecognized descriptor: {text}")
    duration = text.removeprefix(_EVERY)
    try:
        times.parse_duration(duration)
    except ValueError as error:
        raise _Wrong(f"failed to parse duration {text}: {error}") from None


def _check_range(text: str, bounds: _Bounds) -> None:
    span, *steps = text.split("/")
    low, *highs = span.split("-")
    if len(highs) > 1:
        raise _Wrong(f"too many hyphens: {text}")
    if low in ("*", "?"):
        start, end = bounds.first, bounds.last
    else:
        start = _number(low, bounds)
        end = _number(highs[0], bounds) if highs else start
    if len(steps) > 1:
        raise _Wrong(f"too many slashes: {text}")
    if steps:
        step = _number(steps[0], _Bounds(0, 0))
        end = bounds.last if not highs and low not in ("*", "?") else end
        if step == 0:
            raise _Wrong(f"step of range should be a positive number: {text}")
    if start < bounds.first:
        raise _Wrong(f"beginning of range ({start}) below minimum ({bounds.first}): {text}")
    if end > bounds.last:
        raise _Wrong(f"end of range ({end}) above maximum ({bounds.last}): {text}")
    if start > end:
        raise _Wrong(f"beginning of range ({start}) beyond end of range ({end}): {text}")


def _number(text: str, bounds: _Bounds) -> int:
    named = dict(bounds.names).get(text.lower())
    if named is not None:
        return named
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise _Wrong(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise _Wrong(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
