"""What a plug-in is told of a request, and what a plug-in is."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftsman.services.apiserver.api import Api
    from raftsman.services.apiserver.rpc import Call
    from raftsman.services.apiserver.storage.objects import Charge

    from .invocations import Invocations


class Operation(enum.Enum):
    """As webhooks are told."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


@dataclass(slots=True)
class Attributes:
    """One request on its way through the chain. `new` may be changed by mutating steps.

    `new` is None for a delete, `old` for a create; of a subresource that is no part of the object (a binding, an
    eviction, a token, the options of an exec) `new` is that message.
    """

    api: Api
    call: Call
    operation: Operation
    namespace: str
    name: str
    new: Any = None
    old: Any = None
    subresource: str = ""
    # What the write is charged with when it is stored.
    charge: Charge | None = None
    # Whether somebody outside changed `new`: what only the server says is said again then.
    patched: bool = False
    invocations: Invocations | None = None

    @property
    def dry_run(self) -> bool:
        return self.call.dry_run


Step = Callable[[Attributes], Awaitable[None]]
WRITES = frozenset({Operation.CREATE, Operation.UPDATE})
CREATES = frozenset({Operation.CREATE})
ANY = frozenset(Operation)


@dataclass(frozen=True, slots=True)
class Plugin:
    """Steps for some requests: of these kinds (all if none is named), operations and subresources (all if None)."""

    name: str
    operations: frozenset[Operation]
    kinds: frozenset[str] = frozenset()
    subresources: frozenset[str] | None = frozenset({""})
    mutate: Step | None = None
    validate: Step | None = None

    def wants(self, qualified: str, operation: Operation, subresource: str) -> bool:
        if operation not in self.operations or (self.kinds and qualified not in self.kinds):
            return False
        return self.subresources is None or subresource in self.subresources
