"""What the server knows of each served kind: one declaration per kind, everything else is generic.

`table()` joins the resource registry with the declarations of `strategies`; a served resource without a declaration is
an error at start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raftsman.autoscaling import v1 as autoscaling
from raftsman.resources import Resource

from .representation import Representation, Typed
from .validation.causes import Causes

Default = Callable[[Any], None]
Validate = Callable[[Any, Causes], None]
ValidateUpdate = Callable[[Any, Any, Causes], None]
NameRule = Callable[[str], list[str]]


def _nothing(*_: Any) -> None:
    return None


class Columns(Protocol):
    """A kind's table."""

    def definitions(self) -> list[dict[str, Any]]:
        """The columnDefinitions of a Table."""

    def cells(self, obj: Any) -> list[Any]:
        """One for each column."""

    def path(self, name: str) -> str:
        """Where a column's value stands; "" if that is not all."""


class Conversions(Protocol):
    """How stored objects look as one of several kinds: of each version of a custom resource."""

    async def seen(self, kind: Kind, found: Sequence[Any]) -> list[Any]:
        """Stored objects (of the cache) as `kind` shows them. errors.ApiError if they cannot be converted."""

    async def stored(self, kind: Kind, obj: Any) -> tuple[Kind, Any]:
        """An object of `kind` as it is stored, and as which kind."""


class Scaling(Protocol):
    """Where an object's scale is."""

    def read(self, obj: Any, scale: autoscaling.Scale) -> None:
        """Say how many replicas are wanted, how many there are, and what selects them."""

    def write(self, obj: Any, replicas: int) -> None:
        """Want so many."""


class Workload:
    """The scale of built-in workloads."""

    def read(self, obj: Any, scale: autoscaling.Scale) -> None:
        from raftsman import selectors

        scale.spec.replicas = obj.spec.replicas
        scale.status.replicas = obj.status.replicas
        scale.status.selector = str(selectors.from_label_selector(obj.spec.selector))

    def write(self, obj: Any, replicas: int) -> None:
        obj.spec.replicas = replicas


class Printed:
    """The columns of a built-in kind: the printers'."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def definitions(self) -> list[dict[str, Any]]:
        from raftsman import printers

        return printers.definitions(self._resource)

    def cells(self, obj: Any) -> list[Any]:
        from raftsman import printers

        return list(printers.typed_cells(self._resource, obj))

    def path(self, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource that is a part of the object itself, as the status is.

    `take` gets the object as it was and what was sent, and takes over what may be changed here.
    """

    take: Callable[[Any, Any], None]
    validate: ValidateUpdate = _nothing
    # The gRPC verb; if it is not given, Update and the part's name.
    verb: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """How an object of a version is made of the one that is stored, and the other way."""

    to_stored: Callable[[Any], Any]
    from_stored: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind and its strategy. Callables get typed messages; `validate_update` gets (new, old)."""

    resource: Resource
    name_rule: NameRule
    default: Default = _nothing
    # What a client may not set at creation is cleared here (status, mostly).
    prepare_create: Default = _nothing
    # What the server alone says of a new object (its phase, its class of service), after defaulting.
    complete_create: Default = _nothing
    # What an update of the main resource may not touch is taken over from the old object (new, old).
    prepare_update: Callable[[Any, Any], None] = _nothing
    validate: Validate = _nothing
    validate_update: ValidateUpdate = _nothing
    validate_status: ValidateUpdate = _nothing
    # What a status keeps of the old object, and what the server adds (new, old).
    prepare_status: Callable[[Any, Any], None] = _nothing
    parts: Mapping[str, Part] = field(default_factory=dict)
    has_status: bool = False
    has_generation: bool = False
    # Whether an update without a resourceVersion overwrites whatever is there.
    unconditional_update: bool = True
    # Names of objects that may not be deleted, and why.
    undeletable: Mapping[str, str] = field(default_factory=dict)
    ttl_s: int = 0
    # Other requests are judged by such objects: a write is answered when this server's cache has it.
    judges: bool = False
    # Selectable fields beyond metadata.name and metadata.namespace, and how to read them.
    selectable: frozenset[str] = frozenset()
    fields_of: Callable[[Any], Mapping[str, str]] | None = None
    node_of: Callable[[Any], str] | None = None
    # How objects are held: as the resource's messages, unless said otherwise.
    form: Representation = field(default=None, compare=False)  # type: ignore[assignment]
    # What `kubectl get` prints: as the resource says, unless said otherwise.
    columns: Columns = field(default=None, compare=False)  # type: ignore[assignment]
    list_kind: str = ""
    # Told to whoever uses the kind: that its version is deprecated.
    warning: str = ""
    scale: Scaling = field(default_factory=Workload, compare=False)
    # Of custom resources: the schema as it was written.
    schema: Mapping[str, Any] | None = None
    # Of a kind with several versions, the one in which objects are stored; None if it is this one.
    storage: Kind | None = None
    # None if objects are shown as they are stored.
    conversions: Conversions | None = field(default=None, compare=False)
    # Whether objects are made when somebody reads them.
    computed: bool = False
    # Whether nothing new may be created, because the kind is on its way out.
    closed: bool = False
    # Before an object is marked as being deleted.
    prepare_delete: Default = _nothing
    # How objects are converted to and from `storage`, whose rules hold too; None if nothing is to be converted.
    view: View | None = None
    message: type[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", self.resource.message)
        if self.form is None:
            object.__setattr__(self, "form", Typed(self.resource))
        if self.columns is None:
            object.__setattr__(self, "columns", Printed(self.resource))
        object.__setattr__(self, "list_kind", self.list_kind or f"{self.resource.kind}List")

    @property
    def stored_as(self) -> Kind:
        """The kind of the version in which objects are stored."""
        return self.storage or self

    @property
    def stored(self) -> bool:
        """False for questions, which are answered at once and forgotten, and for what is made of nothing stored."""
        return "get" in self.resource.facts.verbs and not self.computed

    @property
    def subresources(self) -> frozenset[str]:
        return frozenset(one.name for one in self.resource.facts.subresources)
