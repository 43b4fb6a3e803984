"""What the generated client stands on: connecting, closing, and handing calls to the async client."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from raftsman import client
from raftsman.client.config import ClientConfig

from .dynamic import Dynamic
from .portal import Portal
from .ports import PodConnection


class BaseClient:
    """One connection to one API server. Use as `with Client.from_kubeconfig() as client`, or `close` it."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._async = client.Client(config)
        self._portal = Portal()

    @classmethod
    def from_kubeconfig(cls, path: str | os.PathLike[str] | None = None, context: str | None = None) -> Self:
        """Connect as a kubeconfig says; see `raftsman.Client.from_kubeconfig`. Raises ConfigError."""
        from raftsman import kubeconfig

        return cls(kubeconfig.load(path, context))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def port_forward(self, name: str, port: int, *, namespace: str = "default") -> PodConnection:
        """One connection to a TCP port of a pod: `with client.port_forward("web-1", 80) as connection`."""
        return PodConnection(self._portal, self._async.port_forward(name, port, namespace=namespace))

    def dynamic(self, group: str, version: str, name: str) -> Dynamic:
        """Objects of any resource, custom ones too, as dicts."""
        return Dynamic(self._portal, self._async.dynamic(group, version, name))

    def close(self) -> None:
        """End the connection and the thread behind it; a second time does nothing."""
        try:
            self._portal.run(self._async.close())
        except RuntimeError:
            return
        self._portal.close()
