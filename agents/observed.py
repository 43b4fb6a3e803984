"""What an agent has seen of the cluster's services, and which of them changed since it last looked.

Fed by informer handlers (cheap, on the event loop); taken from by the proxy, which compiles elsewhere, and by DNS.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raftsman.core import v1 as core
from raftsman.discovery import v1 as discovery

SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Seen:
    """A service (None: deleted) and its endpoint slices."""

    service: core.Service | None
    slices: tuple[discovery.EndpointSlice, ...]


class Observed:
    def __init__(self) -> None:
        self._services: dict[str, core.Service] = {}
        self._slices: dict[str, dict[str, discovery.EndpointSlice]] = {}
        self._changed: set[str] = set()

    def service(self, old: core.Service | None, new: core.Service | None) -> None:
        seen = new if new is not None else old
        assert seen is not None
        key = f"{seen.metadata.namespace}/{seen.metadata.name}"
        if new is None:
            self._services.pop(key, None)
        else:
            self._services[key] = new
        self._changed.add(key)

    def endpoint_slice(self, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        for slice_ in (old, new):
            key = service_of(slice_) if slice_ is not None else ""
            if not key or slice_ is None:
                continue
            held = self._slices.setdefault(key, {})
            if slice_ is new:
                held[slice_.metadata.name] = slice_
            else:
                held.pop(slice_.metadata.name, None)
            if not held:
                del self._slices[key]
            self._changed.add(key)

    def take(self) -> Mapping[str, Seen]:
        """The services that changed since the last call, as they are now."""
        changed, self._changed = self._changed, set()
        return {key: self._seen(key) for key in changed}

    def again(self, keys: Iterable[str]) -> None:
        """Count these as changed once more."""
        self._changed.update(keys)

    def _seen(self, key: str) -> Seen:
        return Seen(self._services.get(key), tuple(self._slices.get(key, {}).values()))


def service_of(slice_: discovery.EndpointSlice) -> str:
    """The key (NAMESPACE/NAME) of the service that a slice belongs to; empty when it belongs to none."""
    name = slice_.metadata.labels.get(SERVICE_LABEL, "")
    return f"{slice_.metadata.namespace}/{name}" if name else ""
