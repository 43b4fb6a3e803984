"""Numbers: counts that are not negative, and amounts that are a count or a percentage."""

from __future__ import annotations

import re
from typing import Any

from raftsman.meta import v1 as meta

from .causes import Causes

NOT_NEGATIVE = "must be greater than or equal to 0"
_STRING = 1
_PERCENT = re.compile(r"[0-9]+%")


def not_negative(found: Any, causes: Causes, *, path: str, fields: tuple[str, ...]) -> None:
    """Numeric fields of a message, by their names in Python."""
    for field in fields:
        value = getattr(found, field)
        if value < 0:
            causes.invalid(f"{path}.{json_name(found, field)}", value, NOT_NEGATIVE)


def json_name(found: Any, field: str) -> str:
    name: str = found.DESCRIPTOR.fields_by_name[field].json_name
    return name


def at_most(found: Any, causes: Causes, *, path: str, fields: tuple[str, ...], limit: str) -> None:
    """Fields of a status that none may be more than another one of it."""
    for field in fields:
        value = getattr(found, field)
        if value > getattr(found, limit):
            whole = "status.replicas" if limit == "replicas" else json_name(found, limit)
            causes.invalid(f"{path}.{json_name(found, field)}", value, f"cannot be greater than {whole}")


def not_decremented(new: Any, old: Any, causes: Causes, *, path: str, field: str) -> None:
    if old.HasField(field) and getattr(new, field) < getattr(old, field):
        causes.invalid(f"{path}.{json_name(new, field)}", getattr(new, field), "cannot be decremented")


def amount(found: meta.IntOrString, causes: Causes, *, path: str) -> int | None:
    """A count or a percentage that is not negative: its number, None with a cause if it is neither."""
    if found.type == _STRING:
        if not _PERCENT.fullmatch(found.str_val):
            causes.invalid(
                path,
                found.str_val,
                "a valid percent string must be a numeric string followed by an ending "
                "'%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
            return None
        return int(found.str_val[:-1])
    if found.int_val < 0:
        causes.invalid(path, found.int_val, NOT_NEGATIVE)
        return None
    return found.int_val


def at_most_all(found: meta.IntOrString, causes: Causes, *, path: str) -> None:
    """A percentage is at most 100%."""
    if found.type == _STRING and _PERCENT.fullmatch(found.str_val) and int(found.str_val[:-1]) > 100:
        causes.invalid(path, found.str_val, "must not be greater than 100%")
