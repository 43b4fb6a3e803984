"""What the server knows of each served kind: one declaration per kind, everything else is generic.

`table()` joins the resource registry with the declarations of `strategies`; a served resource without a declaration is
an error at start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raftsman.resources import Resource

from .validation.causes import Causes

Default = Callable[[Any], None]
Validate = Callable[[Any, Causes], None]
ValidateUpdate = Callable[[Any, Any, Causes], None]
NameRule = Callable[[str], list[str]]


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource that is a part of the object itself, as the status is.

    `take` gets the object as it was and what was sent, and takes over what may be changed here.
    """

    take: Callable[[Any, Any], None]
    validate: ValidateUpdate = _nothing


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
    message: type[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", self.resource.message)

    @property
    def stored(self) -> bool:
        """False for questions, which are answered at once and forgotten."""
        return "get" in self.resource.facts.verbs

    @property
    def subresources(self) -> frozenset[str]:
        return frozenset(one.name for one in self.resource.facts.subresources)
