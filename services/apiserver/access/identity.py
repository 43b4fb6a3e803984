"""Who somebody is to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def is_master(self) -> bool:
        """Whether no rule applies: the cluster's administrators and the server itself."""
        return MASTERS in self.groups


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
# Nobody of their own: the connection is a front proxy's, which says whom each request is from.
FRONT_PROXY = User("system:front-proxy", ())
# The server acting for itself, at start.
SERVER = User("system:apiserver", (MASTERS, AUTHENTICATED))
