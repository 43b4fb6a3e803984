"""Amounts that are a count or a percentage."""

from __future__ import annotations

import re

from raftsman.meta import v1 as meta

from .causes import Causes

_PERCENT = re.compile(r"[0-9]+%")
_STRING = 1


def count_or_percent(found: meta.IntOrString, causes: Causes, *, path: str) -> None:
    """Not negative, and at most everything."""
    if found.type != _STRING:
        if found.int_val < 0:
            causes.invalid(path, found.int_val, "must be greater than or equal to 0")
        return
    if not _PERCENT.fullmatch(found.str_val):
        causes.invalid(
            path,
            found.str_val,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            f"used for validation is '{_PERCENT.pattern}')",
        )
    elif int(found.str_val[:-1]) > 100:
        causes.invalid(path, found.str_val, "must not be greater than 100%")
