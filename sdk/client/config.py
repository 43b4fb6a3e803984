"""What a client must know to connect. `raftsman.kubeconfig` reads one from files."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0
ATTEMPTS_MAX = 4
_HEADER = re.compile(r"[a-z0-9._-]+")


class ConfigError(Exception):
    """A connection that cannot be set up as asked; the message says where it is asked and what would be right."""


class Interactive(enum.StrEnum):
    """Whether a credential plug-in gets our stdin."""

    NEVER = "Never"
    IF_AVAILABLE = "IfAvailable"
    ALWAYS = "Always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A program that prints an ExecCredential (`client.authentication.k8s.io`), as a kubeconfig names it."""

    api_version: str
    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    interactive: Interactive = Interactive.IF_AVAILABLE
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None
    """What the plug-in is told of the cluster, if it asked for that."""

    def __repr__(self) -> str:
        return f"Plugin(command={self.command!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impersonation:
    """Somebody else for whom calls count (`kubectl --as`)."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """As a call carries it."""
        found = [("impersonate-user", self.user), *(("impersonate-group", group) for group in self.groups)]
        if self.uid:
            found.append(("impersonate-uid", self.uid))
        for key, value in self.extra:
            if not _HEADER.fullmatch(key):
                raise ConfigError(f"as-user-extra: gRPC cannot carry the key {key!r}: lower case, digits and -_. only")
            found.append((f"impersonate-extra-{key}", value))
        return tuple(found)


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

    plugin: Plugin | None = None
    """A program that gives token or certificate; see `raftsman.client.credentials`."""

    impersonate: Impersonation | None = None
    """For whom the calls count, if the identity may impersonate."""

    server_name: str = ""
    """The name that the server's certificate is checked against, if not the target's host."""

    proxy: str = ""
    """http://[USER:PASSWORD@]HOST:PORT of a proxy that tunnels (CONNECT) to the server."""

    plaintext: bool = False
    """Without TLS. For unix sockets and tests: no API server listens so."""

    namespace: str = "default"
    """The context's namespace, for command lines; the client's verbs do not look at it."""

    context: str = ""
    """The name of the context that this was read from."""

    timeout_s: float = TIMEOUT_S
    """Of each unary call that is not given its own; its repetitions and their pauses included."""

    attempts_max: int = ATTEMPTS_MAX
    """How often a call is sent; 1 repeats nothing."""

    on_warning: Callable[[str], None] | None = None
    """Called with each warning that the server attaches to a write."""

    def __repr__(self) -> str:
        return f"ClientConfig(target={self.target!r}, context={self.context!r})"
