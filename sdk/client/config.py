"""What a client must know to connect. `raftsman.kubeconfig` reads one from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 30.0


class ConfigError(Exception):
    """A connection that cannot be set up as asked; the message says where it is asked and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One server and one identity. Certificates and keys are PEM. A token goes with every call, if there is one."""

    target: str
    """HOST:PORT or unix:/path of the API server."""

    root_ca: bytes | None = None
    """Who signs the server's certificate; None takes the system's authorities."""

    certificate: bytes | None = None
    key: bytes | None = None

    token: str = ""

    token_file: Path | None = None
    """Read again as it is rotated; wins over `token`."""

    server_name: str = ""
    """The name that the server's certificate is checked against, if not the target's host."""

    plaintext: bool = False
    """Without TLS. For unix sockets and tests: no API server listens so."""

    namespace: str = "default"
    """The context's namespace, for command lines; the client's verbs do not look at it."""

    context: str = ""
    """The name of the context that this was read from."""

    timeout_s: float = TIMEOUT_S
    """Of each unary call that is not given its own."""

    on_warning: Callable[[str], None] | None = None
    """Called with each warning that the server attaches to a write."""

    def __repr__(self) -> str:
        return f"ClientConfig(target={self.target!r}, context={self.context!r})"
