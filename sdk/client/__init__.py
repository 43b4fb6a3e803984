"""The typed, async client: one `Client`, one gRPC channel, every verb of every served kind."""

from .client import Client
from .config import ClientConfig, ConfigError
from .types import Event, EventType, PatchType, PodBinding, Propagation

__all__ = [
    "Client",
    "ClientConfig",
    "ConfigError",
    "Event",
    "EventType",
    "PatchType",
    "PodBinding",
    "Propagation",
]
