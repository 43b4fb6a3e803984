"""Raftsman's SDK: the typed, async client and what controllers are built from.

Names load when they are first used, so that a part which needs one codec does not pay for a gRPC channel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftsman import errors
    from raftsman.client import Client, ClientConfig, ConfigError, Event, EventType, PatchType, PodBinding, Propagation
    from raftsman.errors import ApiError
    from raftsman.metadata import Key

__all__ = [
    "ApiError",
    "Client",
    "ClientConfig",
    "ConfigError",
    "Event",
    "EventType",
    "Key",
    "PatchType",
    "PodBinding",
    "Propagation",
    "errors",
]

_HOMES = {"ApiError": "errors", "Key": "metadata", "errors": ""}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "client")
    if not home:
        return importlib.import_module(f"{__name__}.{name}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
