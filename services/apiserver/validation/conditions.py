"""The conditions of a status, as every kind has them (meta/v1 Condition)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftsman import times
from raftsman.meta import v1 as meta

from . import names
from .causes import Causes

STATUSES = ("True", "False", "Unknown")
_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_REASON_BYTES_MAX = 1024
_MESSAGE_BYTES_MAX = 32 * 1024
_WRONG_REASON = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
    "'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    f"'{_REASON.pattern}')"
)


def conditions(found: Sequence[meta.Condition], causes: Causes, *, path: str) -> None:
    """One of each type, each complete."""
    seen: set[str] = set()
    for index, condition in enumerate(found):
        at = f"{path}[{index}]"
        if condition.type in seen:
            causes.duplicate(f"{at}.type", condition.type)
        seen.add(condition.type)
        _condition(condition, causes, path=at)


def _condition(found: meta.Condition, causes: Causes, *, path: str) -> None:
    for wrong in names.qualified(found.type):
        causes.invalid(f"{path}.type", found.type, wrong)
    if found.status not in STATUSES:
        causes.not_supported(f"{path}.status", found.status, STATUSES)
    if found.observed_generation < 0:
        causes.invalid(f"{path}.observedGeneration", found.observed_generation, "must be greater than or equal to zero")
    if times.is_zero(found.last_transition_time):
        causes.required(f"{path}.lastTransitionTime", "must be set")
    if not found.reason:
        causes.required(f"{path}.reason", "must be set")
    elif not _REASON.fullmatch(found.reason):
        causes.invalid(f"{path}.reason", found.reason, _WRONG_REASON)
    if len(found.reason.encode()) > _REASON_BYTES_MAX:
        causes.too_long(f"{path}.reason", _REASON_BYTES_MAX)
    if len(found.message.encode()) > _MESSAGE_BYTES_MAX:
        causes.too_long(f"{path}.message", _MESSAGE_BYTES_MAX)
