"""One connection to a port of a pod, for blocking code."""

from __future__ import annotations

from types import TracebackType

from raftsman.client import ports

from .portal import Portal


class PodConnection:
    """Use as a context manager: enter connects, leave cuts. See raftsman.client.ports.PodConnection."""

    def __init__(self, portal: Portal, connection: ports.PodConnection) -> None:
        self._portal, self._connection = portal, connection

    def __enter__(self) -> PodConnection:
        """errors.ApiError says why there is no connection."""
        self._portal.run(self._connection.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.run(self._connection.__aexit__(kind, error, trace))

    def send(self, data: bytes) -> None:
        """Returns when it may be followed by more."""
        self._portal.run(self._connection.send(data))

    def finish(self) -> None:
        """Nothing more from us."""
        self._portal.run(self._connection.finish())

    def receive(self) -> bytes:
        """What came next; empty at the end."""
        return self._portal.run(self._connection.receive())
