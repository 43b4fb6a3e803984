"""Which names a definition gets, and what is said of that: a pure decision.

Within a group, a plural, singular or short name names one resource, and a kind or list kind one kind. Built-in kinds
have theirs. Who has a name keeps it; who comes later and wants it is told which. Names that were given stay given while
a new one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftsman.apiextensions import v1 as apiextensions
from raftsman.resources import Resource

from . import conditions
from .definition import APPROVED, Definition

Names = apiextensions.CustomResourceDefinitionNames
Taken = tuple[set[str], set[str]]
"""The names of resources, and of kinds."""


def decide(
    definition: Definition, others: Iterable[Definition], *, builtin: Iterable[Resource] = ()
) -> apiextensions.CustomResourceDefinitionStatus:
    """The status that a definition should have beside `others`, those of its group, and the group's built-in kinds."""
    status = apiextensions.CustomResourceDefinitionStatus()
    status.CopyFrom(definition.status)
    refused = _settle_names(definition, status.accepted_names, _taken(list(others), builtin))
    if refused:
        reason, why = refused
        conditions.set_(status, conditions.NAMES_ACCEPTED, "False", reason, why)
    else:
        conditions.set_(status, conditions.NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found")
    if not conditions.is_true(definition, conditions.ESTABLISHED):
        if refused:
            why = "not all names are accepted"
            conditions.set_(status, conditions.ESTABLISHED, "False", "NotAccepted", why)
        else:
            why = "the initial names have been accepted"
            conditions.set_(status, conditions.ESTABLISHED, "True", "InitialNamesAccepted", why)
    _approval(definition, status)
    return status


def _settle_names(definition: Definition, accepted: Names, names: Taken) -> tuple[str, str] | None:
    """Give what is free; the last refusal: its reason and sentence."""
    taken, kinds = names
    wanted = definition.spec.names
    refused = None
    for field, reason, used in (
        ("plural", "PluralConflict", taken), ("singular", "SingularConflict", taken), ("kind", "KindConflict", kinds),
        ("list_kind", "ListKindConflict", kinds),
    ):  # fmt: skip
        text = getattr(wanted, field)
        if text in used:
            refused = reason, f'"{text}" is already in use'
        else:
            setattr(accepted, field, text)
    short = [text for text in wanted.short_names if text in taken]
    if short:
        refused = "ShortNamesConflict", ", ".join(f'"{text}" is already in use' for text in short)
    else:
        accepted.ClearField("short_names")
        accepted.short_names.extend(wanted.short_names)
    accepted.ClearField("categories")
    accepted.categories.extend(wanted.categories)
    return refused


def _taken(others: list[Definition], builtin: Iterable[Resource]) -> Taken:
    resources: set[str] = set()
    kinds: set[str] = set()
    for one in builtin:
        resources.update((one.name, one.facts.singular, *one.facts.short_names))
        kinds.update((one.kind, f"{one.kind}List"))
    for other in others:
        names = other.status.accepted_names
        resources.update(filter(None, (names.plural, names.singular, *names.short_names)))
        kinds.update(filter(None, (names.kind, names.list_kind)))
    return resources, kinds


def _approval(definition: Definition, status: apiextensions.CustomResourceDefinitionStatus) -> None:
    """Of groups that are Kubernetes' own."""
    given = definition.metadata.annotations.get(APPROVED, "")
    if not given:
        return
    if given.startswith("unapproved"):
        reason, why = "UnapprovedAnnotation", f'not approved: "{given}"'
        conditions.set_(status, conditions.CONFORMANT, "False", reason, why)
    else:
        conditions.set_(status, conditions.CONFORMANT, "True", "ApprovedAnnotation", f"approved in {given}")
