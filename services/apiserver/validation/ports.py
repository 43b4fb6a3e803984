"""Port numbers and references to ports."""

from __future__ import annotations

from raftsman.meta import v1 as meta

from . import names
from .causes import Causes

PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_STRING = 1


def number(value: int, causes: Causes, *, path: str) -> None:
    if not 1 <= value <= 65535:
        causes.invalid(path, value, "must be between 1 and 65535, inclusive")


def number_or_name(found: meta.IntOrString, causes: Causes, *, path: str) -> None:
    if found.type == _STRING:
        for wrong in names.port_name(found.str_val):
            causes.invalid(path, found.str_val, wrong)
    else:
        number(found.int_val, causes, path=path)


def protocol(value: str, causes: Causes, *, path: str) -> None:
    if not value:
        causes.required(path)
    elif value not in PROTOCOLS:
        causes.not_supported(path, value, PROTOCOLS)
